"""The backend that a computation is traced for: it decides how some are written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

_TRACED_FOR: ContextVar[str | None] = ContextVar("backend", default=None)


def backend() -> str:
    """`cpu`, `gpu` or `tpu`: JAX's default one, or what `traced_for` says."""
    return _TRACED_FOR.get() or jax.default_backend()


@contextmanager
def traced_for(name: str) -> Iterator[None]:
    """Programs traced in here are those of another backend, which need not be there.

    For compilers of devices that are not at hand: they would be given the CPU's forms.
    """
    token = _TRACED_FOR.set(name)
    try:
        yield
    finally:
        _TRACED_FOR.reset(token)
