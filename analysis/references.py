"""The project's own named models on Kodak, which reports show beside a sweep's.

Their records are kept in docs/results, without the weights, those of the shipped ones
in folders of their own; `baselines/reference_models.csv` is derived from them:
`python -m analysis.references`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pandas as pd

from analysis.gather import gather
from analysis.measures import rd_loss_of_mean_psnr
from rdc.system.files import write_bytes_atomically

_RESULTS = Path(__file__).parents[1] / "docs/results"
RECORDS = _RESULTS / "reference_models"
FOLDERS = (RECORDS, *(_RESULTS / "shipped_models" / name for name in ("light", "best")))
_CSV = Path(__file__).with_name("baselines") / "reference_models.csv"
_COLUMNS = (
    *("name", "family", "run_id", "rate", "kflops_per_px", "params_total"),
    *("lmbda", "distortion", "steps", "batch_size", "crop_px", "precision"),
    *("coder", "numerics", "bpp", "psnr_db", "ms_ssim", "rd_loss"),
    *("host_cpu", "cpu_threads", "device_kind", "git_sha"),
)


@cache
def kodak() -> pd.DataFrame:
    """One row per reference model and rate, columns as above, `label` and
    `rd_loss_of_mean_psnr`; cheapest architecture first, bpp ascending within it.

    Means over the 24 Kodak images; they compare with own points on the same images.
    """
    points = pd.read_csv(_CSV, dtype={"run_id": "string", "git_sha": "string"})
    steps = points["steps"].map("{:,} steps".format)
    points.insert(0, "label", points["name"] + ", " + steps)
    return points.assign(rd_loss_of_mean_psnr=rd_loss_of_mean_psnr(points))


def derive(folders: Sequence[Path] = FOLDERS) -> pd.DataFrame:
    """The rows of the CSV, from folders of records: those of named architectures on
    Kodak. The others are on their own page.

    Raises:
      DataError: where a folder holds no plan.
    """
    table = pd.concat([_named(folder) for folder in folders])
    table = table.sort_values(["kflops_per_px", "name", "bpp"], ignore_index=True)
    return table[list(_COLUMNS)].round(6)


def _named(folder: Path) -> pd.DataFrame:
    tables = gather(folder)
    measured = tables["frontier"]
    measured = measured[measured["rd_loss"].notna() & (measured["dataset"] == "kodak")]
    measured = measured[measured["name"].notna()]
    runs = tables["runs"][["run_id", "git_sha", "hardware_id"]]
    return measured.merge(runs, on="run_id").merge(tables["hardware"], on="hardware_id")


def main() -> None:
    """Writes the CSV."""
    text = derive().to_csv(index=False, lineterminator="\n")
    write_bytes_atomically(_CSV, text.encode())
    print(f"{_CSV}:\n{text}", end="")


if __name__ == "__main__":
    main()
