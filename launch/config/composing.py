"""Hydra composes YAML and the command line: this file alone calls it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import launch
from launch.config.groups import register_groups, registered
from launch.config.messages import explained, explained_value
from rdc.errors import ConfigError
from rdc.specs.base import unknown_name

_PACKAGED = Path(launch.__file__).parent / "conf"
# In an installed package, or of this checkout.
CONFIG_DIR = _PACKAGED if _PACKAGED.is_dir() else _PACKAGED.parents[1] / "conf"


class OwnOptions(SearchPathPlugin):
    """Puts the user's folder before `conf/`; `hydra.searchpath` adds it after.

    Attributes:
      folder: what the present composition uses; None: no such folder.
    """

    folder: ClassVar[Path | None] = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if self.folder is not None:
            search_path.prepend("user", f"file://{self.folder}")


class Composer:
    """Composes configurations from `conf/`, and from a folder that comes before it.

    Args:
      own_dir: the user's own options, as `own_dir/grid/mine.yaml`.

    Raises:
      ConfigError: there is no such folder.
    """

    def __init__(self, own_dir: str | None = None):
        if own_dir is not None and not Path(own_dir).is_dir():
            raise ConfigError("--config-dir is a folder", own_dir)
        self.own_dir = None if own_dir is None else Path(own_dir).resolve()
        self.load_option = cache(self._load_option)
        register_groups()
        Plugins.instance().register(OwnOptions)

    def compose(
        self, config_name: str, overrides: Sequence[str] = (), added: Sequence[str] = ()
    ) -> DictConfig:
        """One configuration.

        Args:
          config_name: its primary file.
          added: groups that may be added with a plus, for messages.

        Raises:
          ConfigError: options that name nothing or do not fit together.
        """
        try:
            with _errors_of_files():
                return self._composed(config_name, overrides)
        except HydraException as error:
            defaults = self._composed(config_name)
            raise explained(
                error, overrides, defaults, added, self.options_of
            ) from None

    def _composed(self, config_name: str, overrides: Sequence[str] = ()) -> DictConfig:
        OwnOptions.folder = self.own_dir
        with (
            initialize_config_dir(str(CONFIG_DIR), job_name="rdc", version_base="1.3"),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", UserWarning)
            return compose(config_name, list(overrides))

    def options_of(self, group: str) -> list[str]:
        """The options of one group, from files and from the registry."""
        names = set(registered(group))
        for folder in filter(None, (self.own_dir, CONFIG_DIR)):
            names |= {path.stem for path in (folder / group).glob("*.yaml")}
        return sorted(names)

    def _load_option(self, group: str, name: str) -> dict[str, Any]:
        """The plain data of one option of a group; read once.

        Raises:
          ConfigError: there is no such option.
        """
        if name not in self.options_of(group):
            raise unknown_name(group, name, self.options_of(group))
        return plain(self.compose(f"{group}/{name}"))[group]


def plain(config: DictConfig) -> dict[str, Any]:
    """Resolved plain data.

    Raises:
      ConfigError: a value that is missing or cannot be resolved.
    """
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise explained_value(error) from None
    if not isinstance(values, dict):
        raise ConfigError("the configuration is a mapping", values)
    return {str(key): value for key, value in values.items()}


def quoted(value: object) -> str:
    """For Hydra's grammar, in which paths may hold anything between quotes."""
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


@contextlib.contextmanager
def _errors_of_files() -> Iterator[None]:
    try:
        yield
    except OmegaConfBaseException as error:
        raise explained_value(error) from None
    except yaml.YAMLError as error:
        text = " ".join(str(error).split())
        raise ConfigError("configuration files are YAML", text) from None
