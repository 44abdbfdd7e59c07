"""Targets of the CUDA compiler, which itself is tried in `make bench`."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest
import yaml

from rdc.compiler import cuda
from rdc.compiler.estimates import compiler_version
from rdc.errors import ConfigError
from rdc.specs.compiler import CompilerTarget
from tests.conftest import REPOSITORY

HARDWARE = REPOSITORY / "conf" / "hardware"


def values(name: str) -> dict:
    return yaml.safe_load((HARDWARE / f"{name}.yaml").read_text())["compiler"]


@pytest.mark.parametrize("name", ["a100", "h100"])
def test_the_compiler_is_told_the_facts_of_the_configuration(name: str) -> None:
    target = CompilerTarget.from_dict(values(name), "hardware.compiler")
    assert target.gpu is not None
    text = cuda._facts(target, target.gpu)
    assert f"core_count: {target.gpu.cores}\n" in text
    assert f"memory_bandwidth: {target.gpu.bandwidth_gb_per_s * 1e9:.0f}\n" in text
    assert f'device_description_str: "{target.device_kind}"' in text
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"precision": "bfloat16"}, "precision is tensorfloat32 on this device"),
        ({"gpu": None}, "precision is bfloat16 or highest on this device"),
        ({"gpu": {"cores": 0}}, "gpu.cores is at least 1"),
        ({"gpu": {"tflops": 0}}, "gpu.tflops"),
    ],
)
def test_impossible_targets_are_refused(changed: dict, message: str) -> None:
    told = values("a100")
    if changed.get("gpu"):
        changed = {"gpu": {**told["gpu"], **changed["gpu"]}}
    with pytest.raises(ConfigError, match=message):
        CompilerTarget.from_dict({**told, **changed}, "hardware.compiler")


def test_without_the_compiler_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cuda, "compiler_folder", lambda: tmp_path)
    target = CompilerTarget.from_dict(values("a100"), "hardware.compiler")
    with pytest.raises(ConfigError, match="make cuda-compiler"):
        compiler_version(target)


def test_the_compiler_is_that_of_the_installed_jax() -> None:
    assert cuda.compiler_requirement().endswith(f"[with-cuda]=={jax.__version__}")
