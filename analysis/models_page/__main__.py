"""`python -m analysis.models_page OUT`: writes docs/results/reference_models."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from analysis.gather import gather
from analysis.models_page.classes import classes_picture
from analysis.models_page.learning import learning_curves
from analysis.models_page.models import ReferenceModels
from analysis.models_page.pictures import PICTURES, learning_picture
from analysis.models_page.text import page
from analysis.pages import run
from analysis.references import RECORDS
from analysis.report.figures import RC
from rdc.jobs.job import BenchmarkJob, CodecJob, EvaluateJob, OverfitJob, TrainJob
from rdc.jobs.layout import ATTEMPTS_FOLDER, PLAN_FILE, RECORD_FILE, SPEC_FILE
from rdc.specs.base import require
from rdc.system.files import write_bytes_atomically

_KINDS = (TrainJob, EvaluateJob, CodecJob, OverfitJob, BenchmarkJob)
_DPI = 110  # of pictures in a document


def write_page(out: Path, folder: Path = RECORDS) -> Path:
    """Gathers the records of a sweep and writes them and its page into `folder`.

    Records that are there already are those of another sweep, and go; learning curves
    that are there stay for runs whose journals OUT has no more. `folder` may be `out`
    itself: then its own records are read again.

    Raises:
      DataError: OUT holds no plan, or nothing was evaluated.
      StorageError: something cannot be written.
    """
    out, folder = Path(out), Path(folder)
    gather(out)
    models = ReferenceModels.read(out)
    same = out.resolve() == folder.resolve()
    if not same:
        copy_records(out, folder)
    curves = _learning(out, folder, models.models["run_id"])
    _write_csv(folder / "learning.csv", curves)
    _write_csv(folder / "models.csv", models.models)
    images = models.data.tables["rate_distortion"].drop(columns="schema_version")
    for dataset, rows in images.groupby("dataset"):
        _write_csv(folder / f"images_{dataset}.csv", rows)
    with mpl.rc_context(RC):
        for name, draw in PICTURES.items():
            _write_png(folder / f"{name}.png", draw(models))
        _write_png(folder / "classes.png", classes_picture(models))
        _write_png(folder / "learning.png", learning_picture(models, curves))
    path = folder / "README.md"
    write_bytes_atomically(path, page(models).encode())
    return path


def copy_records(out: Path, folder: Path) -> None:
    """The plan and all promoted records of `out` with their specs; no weights, no logs.

    Raises:
      ConfigError: `folder` holds weights, which this would delete.
    """
    for kind in _KINDS:
        there = folder / kind.folder_name
        require(
            not any(there.glob(f"*/*/{ATTEMPTS_FOLDER}")),
            "the folder of the page holds records alone",
            f"attempts in {there}",
            "move them elsewhere",
        )
        shutil.rmtree(there, ignore_errors=True)
        for record in sorted((out / kind.folder_name).glob(f"*/*/{RECORD_FILE}")):
            for path in (record, record.with_name(SPEC_FILE)):
                target = folder / path.relative_to(out)
                write_bytes_atomically(target, path.read_bytes(), durable=False)
    plan = (out / PLAN_FILE).read_bytes()
    write_bytes_atomically(folder / PLAN_FILE, plan, durable=False)


def _learning(out: Path, folder: Path, run_ids: pd.Series) -> pd.DataFrame:
    curves, path = learning_curves(out, run_ids), folder / "learning.csv"
    if not path.exists():
        return curves
    kept = pd.read_csv(path, dtype={"run_id": "str"})
    gone = set(run_ids) - set(curves["run_id"])
    parts = dict(list(curves.groupby("run_id")))
    parts |= dict(list(kept[kept["run_id"].isin(gone)].groupby("run_id")))
    found = [parts[run_id] for run_id in run_ids if run_id in parts]
    return pd.concat(found or [curves], ignore_index=True)


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_bytes_atomically(path, text.encode(), durable=False)


def _write_png(path: Path, figure: Figure) -> None:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI)
    write_bytes_atomically(path, file.getvalue(), durable=False)


def main(arguments: list[str] | None = None) -> int:
    return run("analysis.models_page", write_page, RECORDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
