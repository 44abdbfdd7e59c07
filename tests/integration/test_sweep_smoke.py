"""The whole street on real photographs, killed in the middle and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from rdc.system.files import read_json
from tests.integration import whole_sweep
from tests.integration.whole_sweep import (
    TIMEOUT_SECONDS,
    assert_same_results,
    completed,
    started,
)

STEPS = 120
KILLS = 5  # tries to kill a sweep in the middle, should this process be slow
pytestmark = pytest.mark.timeout(3 * TIMEOUT_SECONDS)


def command(out: Path, train: Path, evaluation: Path, launcher: str) -> list[str]:
    return whole_sweep.command(
        "+grid=rdc_smoke",
        f"out={out}",
        f"launcher={launcher}",
        f"data.train={train}",
        f"data.eval={evaluation}",
        f"train.steps={STEPS}",
        "codecs=[]",
        "checkpoint.every_seconds=0",
    )


@pytest.fixture(scope="module")
def image_sets(
    photographs: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """(list of training photographs, folder of two to evaluate on)."""
    folder = tmp_path_factory.mktemp("photographs")
    train = folder / "train.txt"
    train.write_text("\n".join(map(str, photographs["train"])))
    evaluation = folder / "two_photographs"
    evaluation.mkdir()
    for path in photographs["eval"][1:]:
        (evaluation / path.name).symlink_to(path)
    return train, evaluation


@pytest.fixture(scope="module")
def undisturbed(image_sets: tuple, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that nobody disturbs, by subprocesses without Ray."""
    out = tmp_path_factory.mktemp("undisturbed")
    completed(command(out, *image_sets, "local"), out)
    return out


@pytest.fixture(scope="module")
def resumed(image_sets: tuple, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sweep on Ray, its driver killed in mid-training and started again."""
    for _ in range(KILLS):
        out = tmp_path_factory.mktemp("resumed")
        arguments = command(out, *image_sets, "ray")
        driver = started(arguments, out)
        try:
            wait_for_checkpoint(out, driver)
        finally:
            driver.send_signal(signal.SIGKILL)
            driver.wait()
        if unfinished_with_checkpoint(out):
            completed(arguments, out)
            return out
    raise TimeoutError(f"{KILLS} sweeps ended before they could be killed")


def unfinished_with_checkpoint(out: Path) -> list[Path]:
    """Folders of trainings that were cut in the middle."""
    steps = out.glob("runs/*/*/attempts/1/checkpoint/*")
    runs = {path.parents[3] for path in steps if path.name.isdigit()}
    return [run for run in runs if not (run / "attempts/1/record.json").exists()]


def wait_for_checkpoint(out: Path, driver: subprocess.Popen) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not unfinished_with_checkpoint(out) and driver.poll() is None:
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.02)


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
    pixels = distortion.height_px * distortion.width_px
    promised = distortion.bpp_estimated * 1.01 + 8 * 64 / pixels
    assert (distortion.bpp_coded > 0).all()
    assert (distortion.bpp_coded < promised).all()
    assert (distortion.psnr_db > 10).all()
    assert list(table(undisturbed, "points").lmbda) == [0.0125, 0.0125]
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
        summary = record["result"]["summary"]
        assert summary["loss_last"] < 0.6 * summary["loss_first"]


def test_a_killed_sweep_ends_like_an_undisturbed_one(
    undisturbed: Path, resumed: Path
) -> None:
    assert_same_results(partial(table, undisturbed), partial(table, resumed))


def test_no_step_is_lost_or_done_twice(resumed: Path) -> None:
    """Resumed attempts go on from a checkpoint; every run ends with one full record."""
    resumed_steps = []
    for path in resumed.glob("runs/*/*/record.json"):
        record = read_json(path)
        assert record["result"]["summary"]["steps"] == STEPS
        resumed_steps.append(record["result"]["resumed_from_step"])
        metrics = path.parent / f"attempts/{record['attempt']}/metrics.jsonl"
        logged = [json.loads(s)["step"] for s in metrics.read_text().splitlines()]
        first = record["result"]["resumed_from_step"] + 20
        assert logged == list(range(first, STEPS + 1, 20))
    assert any(resumed_steps), "no run went on from a checkpoint"


def test_running_again_starts_nothing(undisturbed: Path, image_sets: tuple) -> None:
    before = {path: os.stat(path).st_mtime for path in undisturbed.glob("runs/**/*")}
    printed = completed(command(undisturbed, *image_sets, "local"), undisturbed)
    assert "0 jobs started" in printed
    after = {path: os.stat(path).st_mtime for path in undisturbed.glob("runs/**/*")}
    assert before == after
