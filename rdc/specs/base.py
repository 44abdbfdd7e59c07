"""Frozen specs: strict parsing from plain data, and back."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Self, Union, get_args, get_origin, get_type_hints

import pydantic

from rdc.errors import ConfigError


class Spec:
    """Base of every spec: a frozen dataclass of numbers, names, tuples and specs.

    Parsing is strict: an unknown key, a missing key or a value of another type is a
    `ConfigError`. Subclasses check ranges in `__post_init__` with `require`.
    """

    def to_dict(self) -> dict[str, Any]:
        """All fields, resolved, as plain data (tuples become lists)."""
        return {f.name: _plain(getattr(self, f.name)) for f in _fields(self)}

    def identity(self) -> dict[str, Any]:
        """What identities are made of: `to_dict` without `added` fields at rest.

        Specs inside this one leave out theirs, too.
        """
        return {
            f.name: _identity(getattr(self, f.name))
            for f in _fields(self)
            if not (f.metadata.get("added") and getattr(self, f.name) == f.default)
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "") -> Self:
        """Builds the spec from plain data.

        Args:
          values: field names to values; lists stand for tuples, mappings for specs.
          where: how the user calls this place ("transform"), for messages; empty for
            the root.

        Raises:
          ConfigError: naming the key, the value and what would be accepted.
        """
        name, prefix = (where, f"{where}.") if where else (cls.__name__, "")
        require(isinstance(values, Mapping), f"{name} is a mapping", repr(values))
        kind: Any = cls
        parsers = _parsers(kind)
        for key in values:
            if key not in parsers:
                raise unknown_name(f"key of {name}", key, list(parsers))
        fields = {
            key: parsers[key](value, f"{prefix}{key}") for key, value in values.items()
        }
        try:
            return cls(**fields)
        except TypeError as error:  # a required field is missing
            raise ConfigError(f"{name} is complete", error) from None


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


Parser = Callable[[Any, str], Any]  # (plain value, where it stands) -> field value


@cache
def _parsers(cls: Any) -> dict[str, Parser]:
    hints = get_type_hints(cls)
    return {f.name: _parser(hints[f.name]) for f in _fields(cls)}


def _parser(hint: Any) -> Parser:
    """How values of one type are read: specs by themselves, the rest by pydantic."""
    if isinstance(hint, type) and issubclass(hint, Spec):
        return lambda v, where: (
            v if isinstance(v, Spec) else hint.from_dict(v, where)  # type: ignore[attr-defined]
        )
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType) and len(arguments) == 2:
        inner = next((a for a in arguments if a is not type(None)), None)
        if type(None) in arguments and _holds_specs(inner):
            parse = _parser(inner)
            return lambda v, where: None if v is None else parse(v, where)
    if origin is tuple and arguments[1:] == (Ellipsis,) and _holds_specs(arguments[0]):
        return _tuple_parser(_parser(arguments[0]))
    if origin in (dict, Mapping) and _holds_specs(arguments[-1]):
        return _mapping_parser(_parser(arguments[-1]))
    return _value_parser(pydantic.TypeAdapter(hint))


def _holds_specs(hint: Any) -> bool:
    if isinstance(hint, type):
        return issubclass(hint, Spec)
    return any(_holds_specs(inner) for inner in get_args(hint))


def _tuple_parser(parse: Parser) -> Parser:
    def parse_tuple(values: Any, where: str) -> tuple:
        require(isinstance(values, list | tuple), f"{where} is a list", repr(values))
        return tuple(parse(v, f"{where}[{i}]") for i, v in enumerate(values))

    return parse_tuple


def _mapping_parser(parse: Parser) -> Parser:
    def parse_mapping(values: Any, where: str) -> dict:
        require(isinstance(values, Mapping), f"{where} is a mapping", repr(values))
        return {key: parse(v, f"{where}.{key}") for key, v in values.items()}

    return parse_mapping


def _value_parser(adapter: pydantic.TypeAdapter) -> Parser:
    def parse_value(value: Any, where: str) -> Any:
        try:
            return adapter.validate_python(_tuples(value), strict=True)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            path = ".".join([where, *(str(p) for p in first["loc"])])
            rule = first["msg"].lower().replace("tuple", "list")
            raise ConfigError(f"{path}: {rule}", repr(first["input"])) from None

    return parse_value


def _fields(spec: Any) -> tuple[dataclasses.Field, ...]:
    return dataclasses.fields(spec)


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
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return value


def _identity(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)  # 8 and 8.0 are equal specs, but other JSON
    if isinstance(value, Spec):
        return value.identity()
    if isinstance(value, tuple):
        return [_identity(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _identity(v) for k, v in value.items()}
    return value
