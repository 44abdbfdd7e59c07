"""The kinds of devices that JAX computes on, and what differs between them.

One line per kind: a new one is added here. How some operations are written for each is
`rdc.ops.backend`'s matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import jax

from rdc.errors import ConfigError


@dataclass(frozen=True)
class Backend:
    """A kind of device.

    Attributes:
      precisions: that products of float32 are computed in, as JAX names them; the
        first is what it takes unless asked.
      anchor_side: of the square matrices whose product tells how fast the device is
        at the moment: some milliseconds of it.
      anchor_mb: of the array that is read and written to tell how fast its memory is:
        several times what caches hold.
    """

    name: str
    precisions: tuple[str, ...]
    anchor_side: int
    anchor_mb: int


BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        Backend("cpu", ("highest",), 768, 256),
        # Since Ampere; before it, tensorfloat32 is float32.
        Backend("cuda", ("tensorfloat32", "highest"), 4096, 1024),
        Backend("rocm", ("highest",), 4096, 1024),
        # One pass of bfloat16, three, or six.
        Backend("tpu", ("bfloat16", "tensorfloat32", "highest"), 4096, 1024),
    )
}


def present_backend() -> Backend:
    """Of JAX's default device.

    Raises:
      ConfigError: of a kind that nobody wrote down here.
    """
    from jax.extend import backend

    name = jax.default_backend()
    if name == "gpu":
        version = str(backend.get_backend().platform_version).lower()
        name = "rocm" if "rocm" in version else "cuda"
    if name not in BACKENDS:
        raise ConfigError(
            f"devices to be timed are of the kinds {', '.join(BACKENDS)}",
            name,
            "add it to rdc/system/backends.py",
        )
    return BACKENDS[name]


def resolved_precision(asked: str) -> str:
    """The precision that `auto` stands for on the present device, or what was asked.

    Raises:
      ConfigError: the device has no such precision.
    """
    backend = present_backend()
    if asked == "auto":
        return backend.precisions[0]
    if asked not in backend.precisions:
        raise ConfigError(
            f"on {backend.name}, products are computed in "
            f"{' or '.join(backend.precisions)}",
            f"benchmark.precision={asked}",
            "leave it at auto for what JAX takes there",
        )
    return asked


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Programs that are traced and called in here ask for it in every product."""
    with jax.default_matmul_precision(name):
        yield
