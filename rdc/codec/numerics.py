"""How the networks that encoder and decoder share are computed, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import jax

from rdc.errors import ConfigError
from rdc.exact.fixed_point import in_fixed_point


@dataclass(frozen=True)
class Numerics:
    """One way to compute hyper-synthesis and coding steps.

    Attributes:
      adapt: function(state, *inputs) -> the same function in these numerics.
      scope: context to trace, compile and call adapted functions in.
      device: where weights must lie for it; None for JAX's default.
    """

    name: str
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


NUMERICS: dict[str, Numerics] = {
    numerics.name: numerics
    for numerics in (
        Numerics("native", _as_it_is, nullcontext, lambda: None),
        Numerics("exact", in_fixed_point, _float64, _device_with_float64),
    )
}


def numerics_by_name(name: str) -> Numerics:
    """The numerics of a name.

    Raises:
      ConfigError: none have this name.
    """
    if name not in NUMERICS:
        raise ConfigError(f"codec.numerics is one of {', '.join(NUMERICS)}", repr(name))
    return NUMERICS[name]
