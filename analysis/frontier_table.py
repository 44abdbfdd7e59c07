"""The `frontier` table: one row per run and image set, what every plot reads.

Per hardware and stage it has four more columns, named after what they hold:
`decode_ms.HARDWARE_ID.STAGE` (median over the repeats), `decode_ms_q25.…`,
`decode_ms_q75.…` and `mpx_per_s.…` (original megapixels per second of the median).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.comparability import differs_in
from analysis.frontier import pareto_mask
from analysis.tables import COLUMNS
from rdc.jobs.job import EvaluateJob

OBJECTIVES = ("kflops_per_px", "rd_loss")
OBJECTIVES_NOTE = (
    "kflops_per_px, rd_loss; both minimised, per dataset, lmbda and distortion"
)
STAGES = ("network", "entropy_coding", "end_to_end")
STATISTICS = ("decode_ms", "decode_ms_q25", "decode_ms_q75", "mpx_per_s")
# The stage that needs no trained weights: every architecture has it.
MAIN_STAGE = "network"
_JOINED = {**COLUMNS["runs"], **COLUMNS["architectures"]}


def frontier_table(tables: dict[str, pd.DataFrame], jobs: pd.DataFrame) -> pd.DataFrame:
    """Joins the other tables.

    Args:
      tables: the other tables, as in `analysis.tables.COLUMNS`.
      jobs: one row per record, as in `analysis.records.ROWS`.

    Returns:
      One row per run and image set that any run was evaluated on (`dataset` null
      before the first evaluation); unmeasured values are null.
    """
    table = tables["runs"].merge(tables["architectures"], on="arch_id", how="left")
    table = _with_quality(table, tables["rate_distortion"], jobs)
    table["differs_in"] = differs_in(table)
    table["on_frontier"] = _on_frontier(table)
    table["frontier_objectives"] = OBJECTIVES_NOTE
    times = decode_time_summary(tables["decode_times"])
    return _with_times(table, times).drop(
        columns=[name for name in _JOINED if name not in COLUMNS["frontier"]]
    )


def _with_quality(
    runs: pd.DataFrame, images: pd.DataFrame, jobs: pd.DataFrame
) -> pd.DataFrame:
    """Means over the images, PSNR as the mean of the per-image values."""
    quality = images.groupby(["run_id", "dataset"], as_index=False).agg(
        images=("image", "size"),
        bpp=("bpp_coded", "mean"),
        bpp_estimated=("bpp_estimated", "mean"),
        psnr_db=("psnr_db", "mean"),
        ms_ssim=("ms_ssim", "mean"),
        rd_loss=("rd_loss", "mean"),
    )
    evaluations = jobs.loc[
        (jobs["stage"] == EvaluateJob.stage) & jobs["problem"].isna(),
        ["run_id", "dataset", "status"],
    ].rename(columns={"status": "evaluation_status"})
    datasets = evaluations[["dataset"]].drop_duplicates().sort_values("dataset")
    if datasets.empty:
        datasets = pd.DataFrame({"dataset": pd.array([None], dtype="str")})
    keys = ["run_id", "dataset"]
    table = runs.merge(datasets, how="cross")
    table = table.merge(evaluations, "left", keys)
    table["evaluation_status"] = table["evaluation_status"].fillna("pending")
    return table.merge(quality, "left", keys)


def _on_frontier(table: pd.DataFrame) -> pd.Series:
    mask = pd.Series(False, index=table.index)
    measured = table[(table["status"] == "ok") & (table["evaluation_status"] == "ok")]
    for _, rows in measured.groupby(["dataset", "lmbda", "distortion"]):
        mask[rows.index] = pareto_mask(rows[list(OBJECTIVES)].to_numpy(float))
    return mask


def decode_time_summary(times: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles over the repeats, per architecture, run, hardware, stage.

    Where a hardware has times of several image sizes or precisions, only those of
    its commonest one count: a median over mixed sizes means nothing.

    Returns:
      Columns `arch_id run_id hardware_id stage` and `STATISTICS`; `run_id` is ""
      for random weights.
    """
    times = times.assign(
        run_id=times["run_id"].fillna(""),
        megapixels=times["height_px"] * times["width_px"] / 1e6,
    )
    conditions = ["hardware_id", "stage", "megapixels", "precision"]
    counts = times.groupby(conditions, as_index=False).size()
    usual = counts.sort_values("size", kind="stable", ascending=False)
    usual = usual.drop_duplicates(["hardware_id", "stage"])[conditions]
    times = times.merge(usual, on=conditions)
    keys = ["arch_id", "run_id", "hardware_id", "stage"]
    grouped = times.groupby(keys)
    quartiles = grouped["decode_ms"].quantile([0.25, 0.5, 0.75]).unstack()
    quartiles = quartiles.reindex(columns=[0.25, 0.5, 0.75])
    summary = pd.DataFrame(
        {
            "decode_ms": quartiles[0.5],
            "decode_ms_q25": quartiles[0.25],
            "decode_ms_q75": quartiles[0.75],
            "mpx_per_s": grouped["megapixels"].first() / quartiles[0.5] * 1000,
        }
    )
    return summary.reset_index()


def _with_times(table: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    own = times[times["run_id"] != ""].drop(columns="arch_id")
    shared = times[times["run_id"] == ""].drop(columns="run_id")
    columns = {}
    devices = (
        times.groupby("hardware_id").size().sort_values(kind="stable", ascending=False)
    )
    for device in devices.index:
        for stage in STAGES:
            by_run = _of(own, device, stage).set_index("run_id")
            by_architecture = _of(shared, device, stage).set_index("arch_id")
            if by_run.empty and by_architecture.empty:
                continue
            for name in STATISTICS:
                values = table["run_id"].map(by_run[name])
                values = values.fillna(table["arch_id"].map(by_architecture[name]))
                columns[f"{name}.{device}.{stage}"] = values.astype(float)
    main = devices.index[0] if len(devices) else None
    nothing = pd.Series(np.nan, index=table.index)
    return table.assign(
        decode_hardware_id=main,
        decode_ms=columns.get(f"decode_ms.{main}.{MAIN_STAGE}", nothing),
        mpx_per_s=columns.get(f"mpx_per_s.{main}.{MAIN_STAGE}", nothing),
        **columns,
    )


def _of(times: pd.DataFrame, device: str, stage: str) -> pd.DataFrame:
    return times[(times["hardware_id"] == device) & (times["stage"] == stage)]
