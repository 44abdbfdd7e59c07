"""Errors of Hydra and OmegaConf in words for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from rdc.errors import ConfigError
from rdc.specs.base import unknown_name


def explained(
    error: HydraException,
    overrides: Sequence[str],
    defaults: DictConfig,
    added: Sequence[str],
    options_of: Callable[[str], list[str]],
) -> ConfigError:
    """What the user did that Hydra could not compose.

    Args:
      defaults: the configuration without overrides.
      added: groups that may be added with a plus.
      options_of: the options of a group.
    """
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
    if key.split(".")[0] == "grid" and "grid" in added:
        written = next((o for o in overrides if o.startswith(key)), key)
        return ConfigError(
            "a grid, and what its file leaves out, is added with a plus",
            written,
            f"write +{written}",
        )
    parent, _, last = key.rpartition(".")
    inner = OmegaConf.select(defaults, parent) if parent else None
    if isinstance(inner, DictConfig):
        return unknown_name(f"key of {parent}", last, sorted(map(str, inner)))
    known = sorted({*map(str, defaults), *added})
    return unknown_name("option", parent or last, known)


def explained_value(error: OmegaConfBaseException) -> ConfigError:
    """A value that is missing or cannot be resolved."""
    key = error.full_key or ""
    if isinstance(error, MissingMandatoryValue):
        return ConfigError(f"{key} has a value", "none", f"add {key}=VALUE")
    text = str(error).splitlines()[0]
    return ConfigError(f"configuration value {key} can be resolved", text)
