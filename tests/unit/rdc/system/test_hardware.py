"""`hardware_id` is of the device, not of what a process may use of it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rdc.identity import content_id
from rdc.system import hardware

PROGRAM = """
import json, os
if {one_core}:
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from rdc.system.hardware import describe
print(json.dumps(describe()))
"""


def described(one_core: bool = False, xla_flags: str = "") -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(one_core=one_core)],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": xla_flags},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return described()


def test_pinning_to_a_core_changes_no_id(plain: dict) -> None:
    pinned = described(one_core=True)
    assert pinned["cpu_threads"] == 1
    assert pinned["hardware_id"] == plain["hardware_id"]


def test_more_devices_change_no_id(plain: dict) -> None:
    two = described(xla_flags="--xla_force_host_platform_device_count=2")
    assert (plain["device_count"], two["device_count"]) == (1, 2)
    assert two["hardware_id"] == plain["hardware_id"]


def test_another_processor_is_another_device(plain: dict) -> None:
    def id_of(host_cpu: str) -> str:
        identity = {"platform": "cpu", "device_kind": "cpu", "host_cpu": host_cpu}
        return content_id("hardware", identity)

    assert plain["hardware_id"] == id_of(plain["host_cpu"])
    assert plain["hardware_id"] != id_of("another")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("echo '570.86, 1980 MHz, 700.00 W'", ["570.86", "1980 MHz", "700.00 W"]),
        ("echo '570.86'", None),
        ("exit 9", None),
        (None, None),  # no such program
    ],
)
def test_what_the_driver_says_of_a_gpu(
    body: str | None,
    expected: list[str] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if body is not None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    fields = ("driver_version", "clocks.max.sm", "power.limit")
    assert hardware._nvidia(*fields) == expected
