"""What a measurement ran on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from rdc.identity import content_id


def describe() -> dict[str, Any]:
    """The columns of the `hardware` table for the default JAX backend.

    `hardware_id` leaves out versions of JAX: the same device after an update has the
    same id, and its version stands beside each measurement.
    """
    import jax
    import jax.extend
    from jax.extend import backend

    devices = jax.local_devices()
    client = backend.get_backend()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    identity = {
        "device_kind": devices[0].device_kind,
        "platform": devices[0].platform,
        "device_count": len(devices),
        "host_cpu": f"{_cpu_model()}, {cores or os.cpu_count()} threads",
    }
    return {
        "hardware_id": content_id("hardware", identity),
        **identity,
        "driver": str(client.platform_version).splitlines()[0],
        "jax_version": jax.__version__,
        "clock_note": _clock_note(),
    }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _clock_note() -> str:
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor.exists():
        return f"governor {governor.read_text().strip()}"
    return "clocks not controlled"
