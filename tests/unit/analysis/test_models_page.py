"""The page of the reference models, of a sweep that never ran."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis.gather import gather
from analysis.models_page.__main__ import main, write_page
from analysis.models_page.learning import learning_curves
from analysis.models_page.models import TOLD_APART, ReferenceModels
from analysis.models_page.pictures import frontier_picture
from analysis.models_page.text import page
from rdc.jobs.job import TrainJob
from rdc.jobs.layout import METRICS_FILE, attempt_folder
from rdc.system.files import read_json, write_json_atomically
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.invented import architectures, curve_bpp, plan_row, write_plan

RATES = (0.0031, 0.00625, 0.0125, 0.025, 0.05)
# Of the models: which architecture, seed, and dB above `curve_bpp`.
MODELS = ((0, 0, 0.0), (0, 1, 0.1), (1, 0, 1.0), (2, 0, 0.03), (3, 0, 2.0))


def write_models(
    out: Path, models: Sequence[tuple[int, int, float]] = MODELS
) -> list[TrainJob]:
    """Models of five rates, 25 to 37 dB; one has two seeds, the last is not trained."""
    sweep = SweepOutput(out)
    specs = architectures((20,))
    jobs = []
    for number, seed, better_db in models:
        (one,) = sweep.plan([specs[number]], seed=seed)
        job = TrainJob(model=replace(one.model, rates=RATES))
        sweep.rows[-1] = plan_row(job)
        jobs.append(job)
        if number == 3:
            continue
        sweep.train(job)
        sweep.benchmark(job)
        path = sweep.evaluate(job, psnr_db=25.0)
        record = read_json(path)
        record["result"]["images"] = [
            {
                **image,
                "rate": rate,
                "bpp_coded": curve_bpp(25 + 3 * rate),
                "psnr_db": 25 + 3 * rate + better_db,
            }
            for rate in range(len(RATES))
            for image in record["result"]["images"]
        ]
        write_json_atomically(path, record)
    write_plan(out, [row.to_dict() for row in sweep.rows])
    for name in ("jpeg", "webp"):
        sweep.classical(name)
    sweep.overfitted("overfitted_300")
    return jobs


def write_metrics(out: Path, job: TrainJob, attempt: int, steps: range) -> None:
    folder = attempt_folder(job.folder(out), attempt)
    folder.mkdir(parents=True)
    lines = [f'{{"step": {step}, "loss": {attempt}.5}}' for step in steps]
    (folder / METRICS_FILE).write_text("\n".join([*lines, '{"step": 9']))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "out"
    jobs = write_models(folder)
    write_metrics(folder, jobs[0], 1, range(20, 5000, 20))
    write_metrics(folder, jobs[0], 2, range(4000, 8020, 20))
    gather(folder)
    return folder


@pytest.fixture(scope="module")
def models(out: Path) -> ReferenceModels:
    return ReferenceModels.read(out)


def test_rate_saved_is_that_of_the_curves(models: ReferenceModels) -> None:
    """One dB better at a rate that doubles every four saves 1 - 2^(-1/4)."""
    table = models.models
    assert len(table) == 4
    dearer = table[table["family"] == "conv/charm:conv"].iloc[0]
    saved = -100 * (1 - 2**-0.25)
    assert dearer["bd.own"] == pytest.approx(saved, abs=1e-6)
    assert dearer["bd.WebP"] == pytest.approx(saved, abs=1e-6)
    assert dearer["range.WebP"] == "26.0-38.0"
    assert np.isnan(dearer["bd.AVIF"])
    assert models.common_range_db == (26.0, 37.0)
    chosen = models.points[models.points["lmbda"] == 0.0125].set_index("run_id")
    assert table["rd_loss"].tolist() == chosen["rd_loss"][table["run_id"]].tolist()


def test_a_training_that_went_wrong_is_named_and_in_no_picture(tmp_path: Path) -> None:
    out = tmp_path / "out"
    wrong_db = -13.0  # 24 dB at most, where the anchor begins at 25
    jobs = write_models(out, (*MODELS[:2], (1, 0, wrong_db), *MODELS[3:]))
    gather(out)
    models = ReferenceModels.read(out)
    assert models.failed == {jobs[2].job_id}
    assert models.common_range_db == (25.1, 37.0)
    assert jobs[2].model.architecture.family not in set(models.architectures["family"])
    text = page(models)
    assert "Failed, with a PSNR at all rates" in text
    drawn = frontier_picture(models).axes[-1].get_legend_handles_labels()[1]
    assert jobs[2].model.architecture.family not in drawn


def test_noise_is_the_difference_of_seeds(models: ReferenceModels) -> None:
    seeds = models.seeds
    (pair,) = seeds.pairs.to_dict("records")
    assert pair["bd_percent"] == pytest.approx(100 * (2**-0.025 - 1), abs=1e-6)
    deviation = abs(pair["bd_percent"]) / np.sqrt(2)
    assert seeds.deviation_percent == pytest.approx(deviation)
    assert seeds.told_apart_percent == pytest.approx(TOLD_APART * deviation)


def test_architectures_are_means_over_seeds(models: ReferenceModels) -> None:
    table = models.architectures.set_index("family")
    assert table["seeds"]["conv/hyperprior:conv"] == 2
    assert table["on_frontier"].to_dict() == {
        "conv/hyperprior:conv": True,
        "elic/hyperprior:conv": False,
        "conv/charm:conv": True,
    }


def test_learning_curves_follow_the_attempts(out: Path, models) -> None:
    curves = learning_curves(out, models.models["run_id"])
    assert len(curves) == 100
    assert curves["step"].iloc[-1] == 8000
    assert set(curves["loss"][curves["step"] < 3900]) == {1.5}
    assert set(curves["loss"][curves["step"] > 4100]) == {2.5}


def test_the_page_and_its_files(out: Path, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    text = write_page(out, folder).read_text()
    assert "3 architectures of 3 families, 4 models of the 5 planned" in text
    assert "against conv/hyperprior:conv" in text
    assert "over the 26.0-37.0 dB that all models reach" in text
    assert "conv/charm:conv" in text
    # Elsewhere than near 10 kFLOPs/px there are none; half a per cent is noise.
    assert "| 10 kFLOPs/px | conv/hyperprior:conv (-0.9 %) ~ elic/" in text
    assert "Example CPU, 2 cores" in text
    assert "RD loss at lambda 0.0125 of classical codecs" in text
    assert "| overfitted 300, effort 0 | overfitted |" in text
    assert "| JPEG | classical |" in text
    for name in ("frontier", "classes", "curves", "learning"):
        with Image.open(folder / f"{name}.png") as image:
            assert image.convert("L").getextrema()[0] < 50  # something is drawn
    assert len(pd.read_csv(folder / "models.csv")) == 4
    assert len(pd.read_csv(folder / "images_val.csv")) == 4 * 5 * 4
    # The records alone give the same page.
    written = (folder / "README.md").read_bytes()
    curves = (folder / "learning.csv").read_bytes()
    assert main([str(folder), str(folder)]) == 0
    assert (folder / "README.md").read_bytes() == written
    assert (folder / "learning.csv").read_bytes() == curves


def test_learning_curves_stay_where_journals_are_gone(
    out: Path, models, tmp_path: Path
) -> None:
    """Models that are trained anew join those whose records alone were kept."""
    folder = tmp_path / "page"
    path = write_page(out, folder).with_name("learning.csv")
    anew = pd.read_csv(path)
    (own,) = set(anew["run_id"])
    other = next(run for run in models.models["run_id"] if run != own)
    rows = [(own, 10, 9.0), (other, 10, 8.0), ("no model of these", 10, 7.0)]
    pd.DataFrame(rows, columns=["run_id", "step", "loss"]).to_csv(path, index=False)
    write_page(out, folder)
    both = pd.read_csv(path)
    assert set(both["run_id"]) == {own, other}
    assert both[both["run_id"] == own].reset_index(drop=True).equals(anew)
    assert list(both["loss"][both["run_id"] == other]) == [8.0]


def test_points_without_curves_have_a_page(tmp_path: Path) -> None:
    """One rate each: no BD-rates, losses alone."""
    sweep = SweepOutput(tmp_path / "out")
    sweep.finish(sweep.plan(architectures((20,))))
    text = write_page(tmp_path / "out", tmp_path / "page").read_text()
    assert "the noise is unknown" in text
    assert "(RD loss at lambda 0.0125;" in text
    assert "all models share less than 3 dB" in text
    assert "Classical codecs on these images: not measured" in text
    assert "Codecs without a model on these images: not measured" in text


def test_weights_are_never_deleted(out: Path, tmp_path: Path, capsys) -> None:
    folder = shutil.copytree(out, tmp_path / "page")
    assert main([str(out), str(folder)]) == 2
    assert "holds records alone" in capsys.readouterr().err
    assert list(folder.glob("runs/*/*/attempts/*"))
    assert main([str(tmp_path / "nothing")]) == 2


def test_a_sweep_without_results_has_no_page(tmp_path: Path, capsys) -> None:
    SweepOutput(tmp_path / "out").plan(architectures((20,)))
    assert main([str(tmp_path / "out"), str(tmp_path / "page")]) == 2
    assert "models that were evaluated" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()
