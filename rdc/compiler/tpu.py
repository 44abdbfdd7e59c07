"""What the TPU compiler says of a decoder, without a TPU.

libtpu compiles for topologies that are not there, and writes how many cycles it
expects beside each instruction. That is a model of the hardware, and no measurement:
`decode_estimates` never mixes with `decode_times`.
"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import Distribution, distributions, requires
from pathlib import Path
from typing import Any

import jax

from rdc.compiler.decoder import COMPONENTS, decoding_program
from rdc.compiler.hlo_cycles import OTHER, cycles_by_component
from rdc.errors import ConfigError, DataError
from rdc.measurements.rows import DecodeEstimate
from rdc.specs.base import require
from rdc.specs.compiler import CompilerTarget
from rdc.specs.components import ArchitectureSpec

SOURCE = "compiler"
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


def estimated_decoder(
    spec: ArchitectureSpec, target: CompilerTarget, height_px: int, width_px: int
) -> list[DecodeEstimate]:
    """One row per component of the network stage, and one of all: `network`.

    The decoder is one program of one image, batch 1, with the symbols given: what
    entropy coding and transfers take is not in it.

    Raises:
      ConfigError: no compiler, or a topology that it does not know.
      DataError: the program does not compile. One that needs more memory than there is
        gives a row without cycles that does not fit.
    """
    device = _device(target)
    program, state, symbols = decoding_program(spec, height_px, width_px)
    placed = jax.sharding.SingleDeviceSharding(device)

    def there(shape: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=placed)

    def row(component: str, cycles: int | None, peak_bytes: int | None) -> Any:
        return DecodeEstimate(
            height_px=height_px,
            width_px=width_px,
            precision=target.precision,
            component=component,
            cycles=cycles,
            decode_ms=None if cycles is None else cycles / target.clock_mhz / 1e3,
            peak_bytes=peak_bytes,
            fits=peak_bytes is not None and peak_bytes <= target.memory_gb * 1e9,
            source=SOURCE,
        )

    with _precision(target):
        lowered = jax.jit(program).lower(*jax.tree.map(there, (state, symbols)))
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" in str(error):
            return [row("network", None, None)]
        raise DataError(
            f"the decoder of {height_px} x {width_px} pixels compiles for "
            f"{target.device_kind}",
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
    cycles = cycles_by_component(compiled.as_text() or "", COMPONENTS)
    rows = {name: cycles.get(name, 0) for name in (*COMPONENTS, OTHER)}
    rows["network"] = sum(rows.values())
    return [row(name, count, peak_bytes) for name, count in rows.items()]


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
