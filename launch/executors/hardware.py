"""The hardware of the jobs, described without holding the device."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

from launch.executors.child import ChildSettings
from rdc.errors import ConfigError


def describe_hardware(settings: ChildSettings) -> dict[str, Any]:
    """`rdc.system.hardware.describe` in a process of its own, which frees the device.

    Raises:
      ConfigError: JAX cannot use the asked platform here.
    """
    code = "import json, rdc.system.hardware as h; print(json.dumps(h.describe()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=settings.variables(),
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ConfigError(
            "JAX runs on the asked hardware", reason, "choose hardware=cpu"
        )
    return json.loads(done.stdout.strip().splitlines()[-1])


def accelerator_type(device_kind: str) -> str | None:
    """The kind of a GPU in the words that Ray has for it, as `H100`; None: no name.

    Args:
      device_kind: as JAX tells, as `NVIDIA H100 80GB HBM3`.
    """
    model = re.match(r"\w+\s+((?:[A-Z]+\s+)*[A-Z0-9]*\d[A-Z0-9]*)", device_kind)
    name = model[1] if model else device_kind.removeprefix("NVIDIA ").strip()
    return name.replace(" ", "-") or None
