"""XLA's compiler for NVIDIA's GPUs, without a GPU.

JAX's CUDA plugin compiles for a GPU of which it is told the facts. It chooses no
algorithm of cuDNN without one to try them on, and tells no times: estimates are the
roofline of the kernels that it makes (`rdc.compiler.hlo_kernels`), a least time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import Distribution, distributions, version
from pathlib import Path
from typing import Any

from rdc.compiler.expected import Expected, compile_for, lower_for, peak_bytes_of
from rdc.compiler.hlo_kernels import seconds_by_component
from rdc.errors import ConfigError
from rdc.ops.backend import traced_for
from rdc.specs.compiler import CompilerTarget, GpuFacts

_PLUGIN = "jax-cuda12-plugin"
# Equal in what a compiler does for GPUs of one generation; of cuDNN, what is installed.
_FACTS = """\
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  thread_dim_limit_x: 1024
  thread_dim_limit_y: 1024
  thread_dim_limit_z: 64
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: {shared_by_block}
  shared_memory_per_core: {shared_by_core}
  core_count: {cores}
  fpus_per_core: {fpus}
  l2_cache_size: {l2_bytes}
  clock_rate_ghz: {clock_ghz}
  memory_bandwidth: {bytes_per_s}
  device_memory_size: {memory_bytes}
  cuda_compute_capability {{ major: {major} minor: {minor} }}
  device_address_bits: 64
  device_vendor: "NVIDIA Corporation"
  driver_version: "12.9.0"
  runtime_version: "12.9.0"
  compile_time_toolkit_version: "12.9.0"
  dnn_version: "9.10.0"
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 patch: 0 }}
device_description_str: "{device_kind}"
"""


def compiler_folder() -> Path:
    """Of this Python environment: where `make cuda-compiler` puts JAX's plugin."""
    return Path(sys.prefix) / "cuda-compiler"


def compiler_requirement() -> str:
    """The plugin of the installed JAX, with NVIDIA's libraries."""
    return f"{_PLUGIN}[with-cuda]=={version('jax')}"


def compiler_version() -> str:
    """Of the installed compiler.

    Raises:
      ConfigError: there is none, or one of another JAX.
    """
    return f"roofline of {_PLUGIN} {_installed().version}"


def _installed() -> Distribution:
    folder = str(compiler_folder())
    found = next(iter(distributions(name=_PLUGIN, path=[folder])), None)
    if found is None or found.version != version("jax"):
        raise ConfigError(
            f"estimates for a GPU need {_PLUGIN} {version('jax')}",
            "none is installed" if found is None else found.version,
            "install it: make cuda-compiler",
        )
    return found


def expected(
    what: str,
    target: CompilerTarget,
    program: Callable[..., Any],
    shapes: Sequence[Any],
    components: Sequence[str] = (),
    donated: tuple[int, ...] = (),
) -> Expected:
    """The roofline of a program; arguments as of `rdc.compiler.tpu.expected`.

    Raises:
      ConfigError: no compiler, or facts that it does not take.
      DataError: the program does not compile, for other reasons than its memory.
    """
    assert target.gpu is not None
    device = _device(target, target.gpu)
    with traced_for("gpu"):
        lowered = lower_for(device, program, shapes, donated)
    compiled = compile_for(what, target, lowered)
    if compiled is None:
        return Expected()
    seconds = seconds_by_component(
        compiled.as_text() or "",
        components,
        target.gpu.tflops * 1e12,
        target.gpu.bandwidth_gb_per_s * 1e9,
    )
    times = {name: 1e3 * least for name, least in seconds.items()}
    return Expected(times, peak_bytes_of(compiled))


def _device(target: CompilerTarget, gpu: GpuFacts) -> Any:
    from jax.experimental import topologies

    _load_plugin()
    try:
        topology = topologies.get_topology_desc(
            platform="cuda",
            topology_name=target.device_kind,
            topology=target.topology,
            target_config=_facts(target, gpu),
        )
    except Exception as error:  # of the plugin: no type of its own
        raise ConfigError(
            "hardware.compiler tells a GPU that the CUDA compiler knows",
            str(error).splitlines()[0],
            "compare it with conf/hardware/a100.yaml",
        ) from error
    return topology.devices[0]


def _load_plugin() -> None:
    """Registers it once; JAX's default device stays what it was."""
    from jax._src.lib import xla_client

    _installed()
    folder = compiler_folder()
    if xla_client.pjrt_plugin_loaded("cuda"):
        return
    # It would look for a driver, and for libdevice beside JAX.
    os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")
    toolkit = folder / "nvidia" / "cuda_nvcc"
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_cuda_data_dir={toolkit}".strip()
    sys.path.append(str(folder))
    import_module("jax_plugins.xla_cuda12").initialize()


def _facts(target: CompilerTarget, gpu: GpuFacts) -> str:
    major, minor = gpu.compute_capability
    by_core = gpu.shared_kb << 10
    return _FACTS.format(
        shared_by_core=by_core,
        shared_by_block=by_core - 1024,
        cores=gpu.cores,
        fpus=gpu.fpus_per_core,
        l2_bytes=gpu.l2_mb << 20,
        clock_ghz=target.clock_mhz / 1e3,
        bytes_per_s=round(gpu.bandwidth_gb_per_s * 1e9),
        memory_bytes=round(target.memory_gb * 1e9),
        major=major,
        minor=minor,
        device_kind=target.device_kind,
    )
