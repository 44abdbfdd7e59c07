"""Commands configured by Hydra: composing, help, and errors for people.

Hydra composes and this file does the rest, so that no command changes its folder,
writes logs of its own, or shows a traceback for a typing error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from launch.config.groups import register_groups
from rdc.errors import ConfigError, ExitCode, RdcError
from rdc.specs.base import unknown_name

CONFIG_DIR = Path(__file__).resolve().parents[2] / "conf"
Config = dict[str, Any]


@dataclass(frozen=True)
class App:
    """One command.

    Attributes:
      config_name: primary file in `conf/`.
      function: takes the resolved configuration, returns the exit code.
      summary: what the command does, for `--help`.
      examples: full command lines, for `--help`.
      groups: those that the primary file leaves empty.
    """

    config_name: str
    function: Callable[[Config], int]
    summary: str
    examples: Sequence[str]
    groups: Sequence[str] = ()


def run_app(app: App, arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; returns its exit code and never raises `RdcError`."""
    options = _parser().parse_intermixed_args(arguments)
    try:
        with _hydra(options.config_dir):
            if options.help:
                print(_help(app))
                return ExitCode.OK
            config = _composed(app, options.overrides)
            if options.cfg:
                print(OmegaConf.to_yaml(config), end="")
                return ExitCode.OK
            values = _plain(config)
            values["overrides"] = list(options.overrides)
            return app.function(values)
    except RdcError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted; finished work is kept", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; nothing more can be printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-c", "--cfg", nargs="?", const="job", choices=["job"])
    parser.add_argument("-cd", "--config-dir")
    parser.add_argument("overrides", nargs="*")
    return parser


@contextlib.contextmanager
def _hydra(config_dir: str | None) -> Iterator[None]:
    """Hydra on `conf/`, and on a folder of the user's own before it."""
    register_groups()
    if config_dir is not None and not Path(config_dir).is_dir():
        raise ConfigError("--config-dir is a folder", config_dir)
    search_path = create_config_search_path(str(CONFIG_DIR))
    if config_dir is not None:
        search_path.prepend("user", f"file://{Path(config_dir).resolve()}")
    GlobalHydra.instance().clear()
    load_option.cache_clear()
    version.setbase("1.3")
    Hydra.create_main_hydra2("rdc", search_path)
    try:
        yield
    finally:
        GlobalHydra.instance().clear()


def _composed(app: App, overrides: Sequence[str]) -> DictConfig:
    with _errors_for_people(app, overrides), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return compose(app.config_name, list(overrides))


@contextlib.contextmanager
def _errors_for_people(app: App, overrides: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except HydraException as error:
        raise _explained(error, app, overrides) from None
    except OmegaConfBaseException as error:
        raise _explained_value(error) from None
    except yaml.YAMLError as error:
        text = " ".join(str(error).split())
        raise ConfigError("configuration files are YAML", text) from None


def _plain(config: DictConfig) -> Config:
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise _explained_value(error) from None
    if not isinstance(values, dict):
        raise ConfigError("the configuration is a mapping", values)
    return {str(key): value for key, value in values.items()}


def _explained_value(error: OmegaConfBaseException) -> ConfigError:
    key = error.full_key or ""
    if isinstance(error, MissingMandatoryValue):
        return ConfigError(f"{key} has a value", "none", f"add {key}=VALUE")
    text = str(error).splitlines()[0]
    return ConfigError(f"configuration value {key} can be resolved", text)


def _explained(
    error: HydraException, app: App, overrides: Sequence[str]
) -> ConfigError:
    text = str(error)
    if isinstance(error, OverrideParseException):
        return ConfigError(
            "options are written key=value",
            repr(error.override or text),
            "quote lists for the shell: 'stages=[plan,train]'",
        )
    if isinstance(error, MissingConfigException):
        found = re.search(r"Could not find '([^']+)'", text)
        group, _, name = (found[1] if found else text).rpartition("/")
        return unknown_name(f"option of {group}", name, options_of(group))
    if "Ambiguous value" in text:
        return ConfigError(
            "a value with commas is a list in brackets or a quoted text",
            re.findall("'([^']*)'", text)[0],
            "one command runs one configuration: a grid holds the variants",
        )
    found = re.search(r"Could not [a-z ]+?\W*'([^']+)'", text)
    if found is None:
        return ConfigError("the options fit together", " ".join(text.split()))
    key = found[1]
    if key.split(".")[0] == "grid" and "grid" in app.groups:
        written = next((o for o in overrides if o.startswith(key)), key)
        return ConfigError(
            "a grid, and what its file leaves out, is added with a plus",
            written,
            f"write +{written}",
        )
    parent, _, last = key.rpartition(".")
    node = compose(app.config_name)
    inner = OmegaConf.select(node, parent) if parent else None
    if isinstance(inner, DictConfig):
        return unknown_name(f"key of {parent}", last, sorted(map(str, inner)))
    known = sorted({*map(str, node), *app.groups})
    return unknown_name("option", parent or last, known)


def options_of(group: str) -> list[str]:
    """The options of one group, from files and from the registry."""
    loader = GlobalHydra.instance().config_loader()
    return loader.get_group_options(group, ObjectType.CONFIG)


@cache
def load_option(group: str, name: str) -> Config:
    """The plain data of one option of a group.

    Raises:
      ConfigError: there is no such option.
    """
    if name not in options_of(group):
        raise unknown_name(group, name, options_of(group))
    app = App(f"{group}/{name}", lambda _: 0, "", ())
    return _plain(_composed(app, []))[group]


def _help(app: App) -> str:
    config = _composed(app, [])
    lines = [app.summary.strip(), "", "Examples:", *(f"  {e}" for e in app.examples)]
    lines += ["", "Options are key=value, nested keys have dots. The defaults:"]
    text = (CONFIG_DIR / f"{app.config_name}.yaml").read_text()
    lines += [f"  {line}" for line in text.splitlines()]
    lines += ["", "Groups, GROUP=OPTION, and their keys, GROUP.KEY=VALUE:"]
    for group in [*app.groups, *(str(k) for k in config if options_of(str(k)))]:
        lines.append(f"  {group}: {', '.join(options_of(group))}")
        if isinstance(config.get(group), DictConfig):
            lines.append(f"      keys: {', '.join(map(str, config[group]))}")
    lines += [
        "",
        "  --cfg job          print the whole configuration and stop",
        "  --config-dir DIR   a folder of your own options, as DIR/grid/my_grid.yaml",
        "  --help             this text",
    ]
    return "\n".join(lines)
