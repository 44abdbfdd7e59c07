"""The whole street on real photographs, killed in the middle and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rdc.system.files import read_json
from tests.conftest import REPOSITORY

STEPS = 120
TIMEOUT_SECONDS = 400


def command(out: Path, train: Path, evaluation: Path, launcher: str) -> list[str]:
    return [
        sys.executable,
        str(REPOSITORY / "launch/sweep.py"),
        "+grid=rdc_smoke",
        f"out={out}",
        f"launcher={launcher}",
        f"data.train={train}",
        f"data.eval={evaluation}",
        f"train.steps={STEPS}",
        "checkpoint.every_seconds=0",
    ]


def completed(arguments: list[str], folder: Path) -> str:
    """Runs a sweep to its end in `folder`; what it printed."""
    done = subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def photographs(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """(list of training photographs, folder of two from Kodak)."""
    folder = tmp_path_factory.mktemp("photographs")
    names = (shared_data / "train_small.txt").read_text().split()[:12]
    train = folder / "train.txt"
    train.write_text("\n".join(str(shared_data / name) for name in names))
    evaluation = folder / "two_of_kodak"
    evaluation.mkdir()
    for name in ("kodim04.png", "kodim23.png"):
        (evaluation / name).symlink_to(shared_data / "kodak" / name)
    return train, evaluation


@pytest.fixture(scope="module")
def undisturbed(photographs: tuple, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that nobody disturbs, by subprocesses without Ray."""
    out = tmp_path_factory.mktemp("undisturbed")
    completed(command(out, *photographs, "local"), out)
    return out


@pytest.fixture(scope="module")
def resumed(photographs: tuple, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sweep on Ray, its driver killed in mid-training and started again."""
    out = tmp_path_factory.mktemp("resumed")
    arguments = command(out, *photographs, "ray")
    driver = subprocess.Popen(arguments, cwd=out, stdout=subprocess.DEVNULL)
    try:
        wait_for_checkpointed_training(out, driver)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    assert not list(out.glob("runs/*/*/record.json")), "killed too late to test"
    completed(arguments, out)
    return out


def wait_for_checkpointed_training(out: Path, driver: subprocess.Popen) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        assert driver.poll() is None, "the sweep ended before it could be killed"
        steps = [
            int(folder.name)
            for folder in out.glob("runs/*/*/attempts/1/checkpoint/*")
            if folder.name.isdigit()
        ]
        if any(0 < step < STEPS for step in steps):
            return
        time.sleep(0.02)
    raise TimeoutError("no checkpoint was written")


def table(out: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(out / "tables" / f"{name}.parquet")


def test_every_run_is_measured(undisturbed: Path) -> None:
    runs = table(undisturbed, "runs")
    assert list(runs.status) == ["ok", "ok"]
    assert set(runs.steps) == {STEPS}
    distortion = table(undisturbed, "rate_distortion")
    assert len(distortion) == 4
    # No file is larger than its estimate promises, header and checksums included. It
    # may be smaller: so short a training leaves symbols far out of their Gaussians,
    # and an escape code is cheaper than what the likelihoods say of them.
    promised = distortion.bpp_estimated * 1.01 + 8 * 64 / (512 * 768)
    assert (distortion.bpp_coded > 0).all()
    assert (distortion.bpp_coded < promised).all()
    assert (distortion.psnr_db > 10).all()
    assert np.allclose(
        distortion.rd_loss, distortion.bpp_coded + 0.0125 * distortion.mse_255
    )
    times = table(undisturbed, "decode_times")
    assert set(times.stage) == {"network", "entropy_coding", "end_to_end"}
    assert (times.decode_ms > 0).all()
    frontier = table(undisturbed, "frontier")
    assert frontier.on_frontier.any()
    assert (undisturbed / "report/index.html").stat().st_size > 10_000


def test_losses_fall(undisturbed: Path) -> None:
    records = [read_json(path) for path in undisturbed.glob("runs/*/*/record.json")]
    assert len(records) == 2
    for record in records:
        assert record["result"]["loss_last"] < 0.6 * record["result"]["loss_first"]


def test_a_killed_sweep_ends_like_an_undisturbed_one(
    undisturbed: Path, resumed: Path
) -> None:
    for name, columns in {
        "rate_distortion": None,
        "architectures": None,
        "complexity": None,
        "runs": ["run_id", "arch_id", "status", "steps", "batch_size", "seed"],
    }.items():
        a, b = (
            table(out, name).sort_values(list(table(out, name).columns)[:3])
            for out in (undisturbed, resumed)
        )
        if columns is not None:
            a, b = a[columns], b[columns]
        pd.testing.assert_frame_equal(
            a.reset_index(drop=True), b.reset_index(drop=True), check_exact=True
        )


def test_no_step_is_lost_or_done_twice(resumed: Path) -> None:
    """Resumed attempts go on from a checkpoint; every run ends with one full record."""
    resumed_steps = []
    for path in resumed.glob("runs/*/*/record.json"):
        record = read_json(path)
        assert record["result"]["steps"] == STEPS
        resumed_steps.append(record["result"]["resumed_from_step"])
        metrics = path.parent / f"attempts/{record['attempt']}/metrics.jsonl"
        logged = [json.loads(s)["step"] for s in metrics.read_text().splitlines()]
        first = record["result"]["resumed_from_step"] + 20
        assert logged == list(range(first, STEPS + 1, 20))
    assert any(resumed_steps), "no run went on from a checkpoint"


def test_running_again_starts_nothing(undisturbed: Path, photographs: tuple) -> None:
    before = {path: os.stat(path).st_mtime for path in undisturbed.glob("runs/**/*")}
    printed = completed(command(undisturbed, *photographs, "local"), undisturbed)
    assert "0 jobs started" in printed
    after = {path: os.stat(path).st_mtime for path in undisturbed.glob("runs/**/*")}
    assert before == after
