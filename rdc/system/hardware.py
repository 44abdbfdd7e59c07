"""What a measurement ran on."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rdc.identity import content_id


def describe() -> dict[str, Any]:
    """The columns of the `hardware` table for the default JAX backend.

    `hardware_id` is of the device alone: its platform and kind, and on a CPU the model
    of the processor. How many devices or threads this process sees, and versions of
    JAX, change no id: they are columns here and beside each measurement.
    """
    import jax
    from jax.extend import backend

    devices = jax.local_devices()
    device = devices[0]
    identity = {"platform": device.platform, "device_kind": device.device_kind}
    host_cpu = _cpu_model()
    if device.platform == "cpu":
        identity["host_cpu"] = host_cpu
    driver = str(backend.get_backend().platform_version).splitlines()[0]
    clock_note = _cpu_clock_note()
    if device.platform == "gpu":
        asked = _nvidia("driver_version", "clocks.max.sm", "power.limit")
        if asked is not None:
            driver, clock, power = asked
            clock_note = f"boost up to {clock}, power limit {power}"
        else:
            clock_note = "clocks not known"
    return {
        "hardware_id": content_id("hardware", identity),
        **identity,
        "host_cpu": host_cpu,
        "device_count": len(devices),
        "cpu_threads": cpu_threads(),
        "driver": driver,
        "jax_version": jax.__version__,
        "clock_note": clock_note,
    }


@dataclass(frozen=True)
class DeviceState:
    """What a device tells of itself at the moment; None where it does not.

    Attributes:
      is_throttled: it holds its clock down, for power or heat.
    """

    clock_mhz: float | None = None
    temperature_c: float | None = None
    is_throttled: bool | None = None


def device_state() -> DeviceState:
    """Of the first visible GPU, or of the CPU where there is none."""
    asked = _nvidia("clocks.sm", "temperature.gpu", "clocks_throttle_reasons.active")
    if asked is None:
        return DeviceState(clock_mhz=_cpu_clock_mhz())
    clock, temperature, reasons = asked
    try:
        # The lowest bit is an idle GPU, the second a clock that somebody set.
        active = int(reasons, 16) & ~0x3
        return DeviceState(float(clock.split()[0]), float(temperature), active != 0)
    except ValueError:  # "[N/A]"
        return DeviceState()


def _cpu_clock_mhz() -> float | None:
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
    try:
        return float(path.read_text()) / 1e3
    except (OSError, ValueError):
        return None


def gpu_memory_in_use() -> float | None:
    """The largest share of a visible GPU's memory that processes hold, this one
    included; None where `nvidia-smi` cannot be asked.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    command = ["nvidia-smi", *(["-i", visible] if visible else [])]
    command += ["--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits"]
    answer = _answer(command)
    try:
        pairs = [line.split(",") for line in (answer or "").splitlines()]
        return max(float(used) / float(total) for used, total in pairs)
    except ValueError:  # no GPU, or figures that are not available
        return None


def cpu_threads() -> int:
    """Hardware threads that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_average() -> float | None:
    """Of the machine, over the last minute; None where the system keeps none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _cpu_clock_note() -> str:
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor.exists():
        return f"governor {governor.read_text().strip()}"
    return "clocks not controlled"


def _nvidia(*fields: str) -> list[str] | None:
    """What `nvidia-smi` says of the first GPU; None where it cannot be asked."""
    query = f"--query-gpu={','.join(fields)}"
    answer = _answer(["nvidia-smi", query, "--format=csv,noheader"])
    if not answer:
        return None
    values = [value.strip() for value in answer.splitlines()[0].split(",")]
    return values if len(values) == len(fields) else None


def _answer(command: list[str]) -> str | None:
    """What a program prints; None where it cannot be asked."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
