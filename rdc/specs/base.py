"""Frozen specs: strict parsing from plain data, and back."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from functools import cache
from typing import Any, Self, get_type_hints

import pydantic

from rdc.errors import ConfigError


class Spec:
    """Base of every spec: a frozen dataclass of numbers, names and tuples.

    Parsing is strict: an unknown key, a missing key or a value of another type is a
    `ConfigError`. Subclasses check ranges in `__post_init__` with `require`.
    """

    def to_dict(self) -> dict[str, Any]:
        """All fields, resolved, as plain data (tuples become lists)."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {f.name: _plain(getattr(self, f.name)) for f in fields}

    def identity(self) -> dict[str, Any]:
        """What identities are made of: `to_dict` without `added` fields at rest."""
        values = self.to_dict()
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            if f.metadata.get("added") and getattr(self, f.name) == f.default:
                del values[f.name]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "") -> Self:
        """Builds the spec from plain data.

        Args:
          values: field names to values; lists stand for tuples, mappings for specs.
          where: how the user calls this place ("transform"), for messages.

        Raises:
          ConfigError: naming the key, the value and what would be accepted.
        """
        where = where or cls.__name__
        known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
        for key in values:
            if key not in known:
                raise unknown_name(f"key of {where}", key, known)
        kind: Any = cls
        adapters = _adapters(kind)
        inner = _inner_specs(kind)
        fields = {}
        for key, value in values.items():
            if key in inner and isinstance(value, Mapping):
                fields[key] = inner[key].from_dict(value, f"{where}.{key}")
                continue
            try:
                fields[key] = adapters[key].validate_python(_tuples(value), strict=True)
            except pydantic.ValidationError as error:
                first = error.errors()[0]
                path = ".".join([where, key, *(str(p) for p in first["loc"])])
                raise ConfigError(
                    f"{path}: {first['msg'].lower()}", repr(first["input"])
                ) from None
        try:
            return cls(**fields)
        except TypeError as error:  # a required field is missing
            raise ConfigError(f"{where} is complete", error) from None


def added(default: Any) -> Any:
    """A field that came after identities of its spec were in use.

    At its default it is no part of them, so that earlier results keep their place.
    """
    return dataclasses.field(default=default, metadata={"added": True})


def require(condition: bool, rule: str, value: object, remedy: str = "") -> None:
    """Raises `ConfigError(rule, value, remedy)` unless `condition` holds."""
    if not condition:
        raise ConfigError(rule, value, remedy)


def unknown_name(what: str, name: object, known: list[str]) -> ConfigError:
    """The error for a name that is not in a closed list, with the nearest ones."""
    near = difflib.get_close_matches(str(name), known, n=3)
    remedy = f"known: {', '.join(known)}"
    if near:
        remedy = f"did you mean {' or '.join(near)}? {remedy}"
    return ConfigError(f"unknown {what}", repr(name), remedy)


@cache
def _adapters(cls: Any) -> dict[str, pydantic.TypeAdapter]:
    hints = get_type_hints(cls)
    return {
        f.name: pydantic.TypeAdapter(hints[f.name])
        for f in dataclasses.fields(cls)  # type: ignore[arg-type]
    }


@cache
def _inner_specs(cls: Any) -> dict[str, type[Spec]]:
    hints = get_type_hints(cls).items()
    return {k: v for k, v in hints if isinstance(v, type) and issubclass(v, Spec)}


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _tuples(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_tuples(v) for v in value)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Spec):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value
