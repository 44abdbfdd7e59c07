"""Small computations on the host's CPU, wherever the large ones run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax


@contextmanager
def on_the_cpu() -> Iterator[None]:
    """Computes on the CPU what is not on a device already.

    For hundreds of small programs that run once: a GPU's compiler takes longer for them
    than they do (measured on an H100: 25 to 50 s a training), and the CPU gives the
    same values for every device. Where JAX has no CPU backend, as a process with
    JAX_PLATFORMS=cuda, nothing changes.
    """
    try:
        (device, *_) = jax.local_devices(backend="cpu")
    except RuntimeError:
        yield
        return
    with jax.default_device(device):
        yield
