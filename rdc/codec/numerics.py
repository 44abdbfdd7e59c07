"""How the networks that encoder and decoder share are computed, by name and by id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import jax

from rdc.errors import BitstreamError, ConfigError
from rdc.exact.fixed_point import in_fixed_point


@dataclass(frozen=True)
class Arithmetic:
    """One way to compute hyper-synthesis and slice networks.

    Attributes:
      arithmetic_id: in the container; never reused for another meaning.
      adapt: function(state, *inputs) -> the same function in this arithmetic.
      scope: context to trace, compile and call adapted functions in.
      device: where weights must lie for it; None for JAX's default.
    """

    name: str
    arithmetic_id: int
    adapt: Callable[[Callable], Callable]
    scope: Callable[[], AbstractContextManager[None]]
    device: Callable[[], jax.Device | None]


def _as_it_is(function: Callable) -> Callable:
    return function


@contextmanager
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def _device_with_float64() -> jax.Device | None:
    """TPUs have no float64 of 53 bits: there the host computes what must be exact."""
    return None if jax.default_backend() in ("cpu", "gpu") else jax.devices("cpu")[0]


ARITHMETICS: dict[str, Arithmetic] = {
    arithmetic.name: arithmetic
    for arithmetic in (
        Arithmetic("native", 0, _as_it_is, nullcontext, lambda: None),
        Arithmetic("exact", 1, in_fixed_point, _float64, _device_with_float64),
    )
}


def arithmetic_by_name(name: str) -> Arithmetic:
    """The arithmetic that a configuration names.

    Raises:
      ConfigError: no such arithmetic.
    """
    if name not in ARITHMETICS:
        raise ConfigError(
            f"codec.arithmetic is one of {', '.join(ARITHMETICS)}", repr(name)
        )
    return ARITHMETICS[name]


def arithmetic_by_id(arithmetic_id: int) -> Arithmetic:
    """The arithmetic that a container names.

    Raises:
      BitstreamError: no such arithmetic.
    """
    for arithmetic in ARITHMETICS.values():
        if arithmetic.arithmetic_id == arithmetic_id:
            return arithmetic
    raise BitstreamError(
        "the stream's arithmetic is known",
        arithmetic_id,
        "use a newer version of this program",
    )
