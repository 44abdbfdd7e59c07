"""What is computed on the CPU's first device, wherever the large computations run."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import jax, jax.numpy as jnp
from rdc.system.host import on_the_cpu

first, other = jax.local_devices()
jax.config.update("jax_default_device", other)
{rest}
"""


def run(rest: str) -> None:
    subprocess.run(
        [sys.executable, "-c", PROGRAM.format(rest=rest)],
        env={
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        },
        check=True,
    )


def test_small_computations_leave_the_default_device() -> None:
    run(
        """
with on_the_cpu():
    assert jnp.ones(3).devices() == {first}
assert jnp.ones(3).devices() == {other}
"""
    )
