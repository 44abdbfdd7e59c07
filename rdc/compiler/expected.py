"""What a compiler expects of one run of a program on one device that is not here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

from rdc.errors import DataError
from rdc.specs.compiler import CompilerTarget


@dataclass(frozen=True)
class Expected:
    """Of one run of a program on one device.

    Attributes:
      milliseconds: by component; None where it does not fit the device's memory.
      peak_bytes: arguments, results and temporaries; None likewise.
      cycles: by component, of compilers that tell them.
    """

    milliseconds: Mapping[str, float] | None = None
    peak_bytes: int | None = None
    cycles: Mapping[str, int] | None = None

    def fits(self, target: CompilerTarget) -> bool:
        """Into the memory of the device."""
        peak = self.peak_bytes
        return peak is not None and peak <= target.memory_gb * 1e9


def lower_for(
    device: Any,
    program: Callable[..., Any],
    shapes: Sequence[Any],
    donated: tuple[int, ...] = (),
) -> jax.stages.Lowered:
    """A program for one device.

    Args:
      shapes: of its arguments, trees of `jax.ShapeDtypeStruct`.
      donated: arguments whose memory its results may take.
    """
    placed = jax.sharding.SingleDeviceSharding(device)

    def there(shape: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=placed)

    jitted = jax.jit(program, donate_argnums=donated)
    return jitted.lower(*jax.tree.map(there, tuple(shapes)))


def compile_for(
    what: str, target: CompilerTarget, lowered: jax.stages.Lowered
) -> jax.stages.Compiled | None:
    """The compiled program; None where it does not fit the device's memory.

    Args:
      what: the program is, for messages.

    Raises:
      DataError: it does not compile, for other reasons.
    """
    try:
        with _nothing_kept():
            return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" in str(error):
            return None
        raise DataError(
            f"{what} compiles for {target.device_kind}",
            str(error).splitlines()[0],
            "another size, or another version of the compiler",
        ) from error


@contextmanager
def _nothing_kept() -> Iterator[None]:
    """No cache between processes: JAX keeps programs for devices that are not at hand
    there, and cannot read them back.
    """
    config: Any = jax.config  # whose attributes are made at run time
    was_on = config.jax_enable_compilation_cache

    def switch(is_on: bool) -> None:
        config.update("jax_enable_compilation_cache", is_on)
        compilation_cache.reset_cache()  # which remembers whether it was on

    switch(False)
    try:
        yield
    finally:
        switch(was_on)


def peak_bytes_of(compiled: jax.stages.Compiled) -> int:
    """Arguments, results and temporaries; what is donated counts once."""
    memory: Any = compiled.memory_analysis()
    return int(
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
        - memory.alias_size_in_bytes
    )
