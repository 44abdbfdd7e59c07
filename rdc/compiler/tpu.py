"""XLA's compiler for TPUs, without a TPU.

libtpu compiles for topologies that are not there, and writes how many cycles it
expects beside each instruction. That is a model of the hardware, and no measurement.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions, requires
from pathlib import Path
from typing import Any

import jax

from rdc.compiler.hlo_cycles import cycles_by_component
from rdc.errors import ConfigError, DataError
from rdc.ops.backend import traced_for
from rdc.specs.base import require
from rdc.specs.compiler import CompilerTarget

# libtpu asks the machine which TPU it has, and tells of what it does not find.
_QUIET = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "none",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_MIN_LOG_LEVEL": "3",
    "TPU_STDERR_LOG_LEVEL": "3",
    # Several processes of a machine may compile at once: none of them has a TPU.
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


@dataclass(frozen=True)
class Expected:
    """What the compiler expects of one run of a program on one device.

    Attributes:
      cycles: by component; None where the program does not fit the device's memory.
      peak_bytes: arguments, results and temporaries; None with the cycles.
    """

    cycles: Mapping[str, int] | None
    peak_bytes: int | None

    def fits(self, target: CompilerTarget) -> bool:
        """Into the memory of the device."""
        peak = self.peak_bytes
        return peak is not None and peak <= target.memory_gb * 1e9


def compiler_folder() -> Path:
    """Of this Python environment: where `make tpu-compiler` puts libtpu.

    Beside its packages, not among them: where JAX finds libtpu, every program that
    uses JAX looks for a TPU at its start and complains that there is none.
    """
    return Path(sys.prefix) / "tpu-compiler"


def compiler_requirement() -> str:
    """What the installed JAX names for its extra `tpu`, as "libtpu==0.0.42.*"."""
    (line,) = (text for text in requires("jax") or () if text.startswith("libtpu"))
    return line.split(";")[0].strip()


def compiler_version() -> str:
    """Of the installed compiler.

    Raises:
      ConfigError: there is none.
    """
    return f"libtpu {_installed().version}"


def _installed() -> Distribution:
    folder = str(compiler_folder())
    for path in ([folder], sys.path):
        for found in distributions(name="libtpu", path=path):
            return found
    raise ConfigError(
        "estimates for a TPU need its compiler",
        "no libtpu is installed",
        "install it: make tpu-compiler",
    )


def expected(
    what: str,
    target: CompilerTarget,
    program: Callable[..., Any],
    shapes: Sequence[Any],
    components: Sequence[str] = (),
    donated: tuple[int, ...] = (),
) -> Expected:
    """Compiles a program for one device of a target.

    Args:
      what: the program is, for messages.
      shapes: of its arguments, trees of `jax.ShapeDtypeStruct`.
      components: scopes of the program, whose cycles are told apart.
      donated: arguments whose memory its results may take.

    Raises:
      ConfigError: no compiler, or a topology that it does not know.
      DataError: the program does not compile, for other reasons than its memory.
    """
    device = _device(target)
    placed = jax.sharding.SingleDeviceSharding(device)

    def there(shape: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=placed)

    with ExitStack() as stack:
        stack.enter_context(traced_for("tpu"))
        stack.enter_context(_precision(target))
        jitted = jax.jit(program, donate_argnums=donated)
        lowered = jitted.lower(*jax.tree.map(there, tuple(shapes)))
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" in str(error):
            return Expected(None, None)
        raise DataError(
            f"{what} compiles for {target.device_kind}",
            str(error).splitlines()[0],
            "another size, or another version of libtpu",
        ) from error
    memory: Any = compiled.memory_analysis()
    peak_bytes = int(
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
        - memory.alias_size_in_bytes
    )
    return Expected(
        cycles_by_component(compiled.as_text() or "", components), peak_bytes
    )


def _device(target: CompilerTarget) -> Any:
    from jax.experimental import topologies

    library = _installed().locate_file("libtpu/libtpu.so")
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("TPU_LIBRARY_PATH", str(library))
    try:
        topology = topologies.get_topology_desc(
            platform="tpu", topology_name=target.topology
        )
    except Exception as error:  # of the plugin: no type of its own
        raise ConfigError(
            "hardware.compiler.topology is one that the TPU compiler knows",
            f"{target.topology}: {str(error).splitlines()[0]}",
            "v4:2x2x1, v5e:2x2 and v6e:2x2 are",
        ) from error
    device: Any = topology.devices[0]
    require(
        device.device_kind == target.device_kind,
        f"devices of {target.topology} are {target.device_kind}",
        device.device_kind,
        "name that as hardware.compiler.device_kind",
    )
    return device


def _precision(target: CompilerTarget) -> AbstractContextManager[None]:
    if target.precision == "highest":
        return jax.default_matmul_precision("highest")
    return nullcontext()
