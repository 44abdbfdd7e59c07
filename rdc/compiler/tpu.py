"""XLA's compiler for TPUs, without a TPU.

libtpu compiles for topologies that are not there, and writes how many cycles it
expects beside each instruction. That is a model of the hardware, and no measurement.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import Distribution, distributions, requires
from pathlib import Path
from typing import Any

import jax

from rdc.compiler.expected import (
    Expected,
    compile_for,
    lower_for,
    peak_bytes_of,
)
from rdc.compiler.hlo_cycles import cycles_by_component
from rdc.errors import ConfigError
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
    """Cycles of a program on one device of a target; arguments as of `compile_for`.

    Raises:
      ConfigError: no compiler, or a topology that it does not know.
      DataError: the program does not compile, for other reasons than its memory.
    """
    device = _device(target)
    with traced_for("tpu"), _precision(target):
        lowered = lower_for(device, program, shapes, donated)
    compiled = compile_for(what, target, lowered)
    if compiled is None:
        return Expected()
    cycles = cycles_by_component(compiled.as_text() or "", components)
    times = {name: target.milliseconds(count) for name, count in cycles.items()}
    return Expected(times, peak_bytes_of(compiled), cycles)


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
