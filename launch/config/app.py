"""Commands: from a command line to a typed configuration, help, errors for people.

No command changes its folder, writes logs of its own, or shows a traceback for a typing
error.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from omegaconf import DictConfig, OmegaConf

from launch.config.composing import CONFIG_DIR, Composer, plain
from rdc.errors import ExitCode, RdcError
from rdc.specs.base import Spec, unknown_name
from sweeps.points import Options

S = TypeVar("S", bound=Spec)


@dataclass(frozen=True)
class Call(Generic[S]):
    """What a command is called with.

    Attributes:
      config: the typed configuration.
      values: the same, as plain data.
      overrides: the `key=value` of the command line.
      options: the plain data of one option of a group.
      config_dir: the user's own options.
    """

    config: S
    values: dict[str, Any]
    overrides: tuple[str, ...]
    options: Options
    config_dir: Path | None = None


@dataclass(frozen=True)
class App(Generic[S]):
    """One command.

    Attributes:
      config_name: primary file in `conf/`.
      spec: of its configuration.
      function: returns the exit code.
      summary: what the command does, for `--help`.
      examples: full command lines, for `--help`.
      groups: those that the primary file leaves empty.
    """

    config_name: str
    spec: type[S]
    function: Callable[[Call[S]], int]
    summary: str
    examples: Sequence[str]
    groups: Sequence[str] = ()


def run_app(app: App, arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; returns its exit code and never raises `RdcError`."""
    options = _parser().parse_intermixed_args(arguments)
    try:
        composer = Composer(options.config_dir)
        if options.help:
            print(_help(app, composer))
            return ExitCode.OK
        config = composer.compose(app.config_name, options.overrides, app.groups)
        if options.cfg:
            print(OmegaConf.to_yaml(config), end="")
            return ExitCode.OK
        return app.function(_call(app, config, options.overrides, composer))
    except RdcError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; finished work is kept", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; nothing more can be printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK


def _call(
    app: App[S], config: DictConfig, overrides: Sequence[str], composer: Composer
) -> Call[S]:
    values = plain(config)
    known = [field.name for field in dataclasses.fields(app.spec)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise unknown_name("option", key, known)
    parsed = app.spec.from_dict(values)
    return Call(
        parsed, values, tuple(overrides), composer.load_option, composer.own_dir
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-c", "--cfg", nargs="?", const="job", choices=["job"])
    parser.add_argument("-cd", "--config-dir")
    parser.add_argument("overrides", nargs="*")
    return parser


def _help(app: App, composer: Composer) -> str:
    config = composer.compose(app.config_name)
    lines = [app.summary.strip(), "", "Examples:", *(f"  {e}" for e in app.examples)]
    lines += ["", "Options are key=value, nested keys have dots. The defaults:"]
    text = (CONFIG_DIR / f"{app.config_name}.yaml").read_text()
    lines += [f"  {line}" for line in text.splitlines()]
    lines += ["", "Groups, GROUP=OPTION, and their keys, GROUP.KEY=VALUE:"]
    groups = {str(key): composer.options_of(str(key)) for key in (*app.groups, *config)}
    for group, options in groups.items():
        if not options:
            continue
        lines.append(f"  {group}: {', '.join(options)}")
        if isinstance(config.get(group), DictConfig):
            lines.append(f"      keys: {', '.join(map(str, config[group]))}")
    lines += [
        "",
        "  --cfg job          print the whole configuration and stop",
        "  --config-dir DIR   a folder of your own options, as DIR/grid/my_grid.yaml",
        "  --help             this text",
    ]
    return "\n".join(lines)
