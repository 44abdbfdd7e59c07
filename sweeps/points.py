"""From the assignments of a grid point to an architecture and a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rdc.architectures import resolve
from rdc.errors import ConfigError
from rdc.registry import REGISTRY
from rdc.specs.base import unknown_name
from sweeps.grid import Assignments

# The plain data of one option of a group: options("transform", "elic").
Options = Callable[[str, str], Mapping[str, Any]]
KEYS = ("architecture", *REGISTRY, "encoders", "train")


def registry_options(group: str, name: str) -> Mapping[str, Any]:
    """The options that need no files: registered components, named architectures.

    Raises:
      ConfigError: there is no such option.
    """
    if group == "architecture":
        return resolve(name).to_dict()
    table = REGISTRY.get(group, {})
    if name not in table:
        raise unknown_name(group, name, sorted(table))
    return {"name": name}


class Point:
    """One point while its assignments are applied.

    Attributes:
      architecture: as `parse_architecture` reads it.
      train: values over those of the configuration.
    """

    def __init__(self, options: Options):
        self.architecture: dict[str, Any] = {}
        self.train: dict[str, Any] = {}
        self._options = options

    def assign(self, assignments: Assignments) -> None:
        """Applies all pairs in order.

        Raises:
          ConfigError: for a key that names nothing, or a value that cannot be merged.
        """
        for key, value in assignments.pairs:
            group, _, name = key.partition(".")
            if group not in KEYS or (group == "architecture" and name):
                raise unknown_name("key of the grid", key, list(KEYS))
            if group == "architecture":
                chosen = self._options(group, _name(key, value))
                parts = (*REGISTRY, "encoders")
                self.architecture = {k: chosen[k] for k in parts if k in chosen}
            elif group == "encoders":
                self.architecture[group] = value
            elif group == "train":
                self.train.update({name: value} if name else self._values(key, value))
            elif name:
                self._component(group, key)[name] = value
            else:
                self._set_component(group, value)

    def _set_component(self, group: str, value: Any) -> None:
        if value is None:
            self.architecture.pop(group, None)
            return
        values = dict(self._values(group, value))
        if "name" in values:
            self.architecture[group] = values
        else:
            self._component(group, group).update(values)

    def _component(self, group: str, key: str) -> dict[str, Any]:
        component = self.architecture.get(group)
        if component is None:
            raise ConfigError(
                f"{key} changes a {group} that was chosen before",
                "none",
                f"add {group}: NAME to the block's base",
            )
        component = dict(component)
        self.architecture[group] = component
        return component

    def _values(self, key: str, value: Any) -> Mapping[str, Any]:
        if isinstance(value, str):
            return self._options(key, value)
        if not isinstance(value, Mapping):
            raise ConfigError(f"a value of {key} is a name or a mapping", repr(value))
        if isinstance(value.get("name"), str):
            fields = {k: v for k, v in value.items() if k != "name"}
            return {**self._options(key, value["name"]), **fields}
        return value

    def matches(self, condition: Mapping[str, Any]) -> bool:
        """Whether every dotted key of an `exclude` entry has the stated value."""
        return all(self._has(key, value) for key, value in condition.items())

    def _has(self, key: str, value: Any) -> bool:
        group, _, name = key.partition(".")
        if group not in KEYS or group == "architecture":
            raise unknown_name("key of exclude", key, [k for k in KEYS[1:]])
        parts = self.train if group == "train" else self.architecture.get(group)
        if name:
            return parts is not None and _tuples(parts.get(name)) == _tuples(value)
        if isinstance(value, Mapping):
            return all(self._has(f"{group}.{k}", v) for k, v in value.items())
        return (parts or {}).get("name") == value


def _name(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"a value of {key} is a name", repr(value))
    return value


def _tuples(value: Any) -> Any:
    return (
        tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value
    )
