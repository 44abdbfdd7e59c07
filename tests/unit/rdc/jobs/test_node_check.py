"""A machine before its first job: who else holds the GPU that it was given."""

from __future__ import annotations

from pathlib import Path

import pytest

from rdc.errors import NodeError
from rdc.jobs.node_check import _check_free
from rdc.system.hardware import gpu_memory_in_use


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Answers as the real one on an H100 did; its lines are in a file beside it."""
    program, answers = tmp_path / "nvidia-smi", tmp_path / "answers"
    program.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >> {tmp_path}/asked\n'
        f"head -1 {answers}\n"
        f"[ $(wc -l < {answers}) -gt 1 ] && sed -i 1d {answers}\nexit 0\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return answers


def test_the_given_gpu_is_asked_for(
    nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi.write_text("40780, 81559\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert gpu_memory_in_use() == pytest.approx(0.5, abs=0.001)
    asked = nvidia_smi.with_name("asked").read_text()
    assert asked.startswith("-i 3 --query-gpu=memory.used,memory.total")


def test_a_busy_gpu_is_a_fault_of_the_machine(nvidia_smi: Path) -> None:
    nvidia_smi.write_text("76 , 81559\n")
    _check_free(0.0)
    nvidia_smi.write_text("27881, 81559\n")
    with pytest.raises(NodeError, match="is free; got 34 % of its memory in use"):
        _check_free(0.0)


def test_what_just_ended_may_need_a_moment(nvidia_smi: Path) -> None:
    nvidia_smi.write_text("27881, 81559\n27881, 81559\n528, 81559\n")
    _check_free(60.0)


@pytest.mark.parametrize("answer", ["[N/A], [N/A]\n", "\n", "no devices were found\n"])
def test_where_nobody_knows_jobs_begin(nvidia_smi: Path, answer: str) -> None:
    nvidia_smi.write_text(answer)
    assert gpu_memory_in_use() is None
    _check_free(0.0)
