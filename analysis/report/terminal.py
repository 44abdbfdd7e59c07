"""The frontier as a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from analysis.codec_points import OVERFITTED
from analysis.decode_times import MAIN_STAGE
from analysis.measures import (
    DEFAULT_OBJECTIVES,
    Measure,
    measures_of,
    objectives_note,
)
from analysis.report.data import STATES, ReportData
from rdc.jobs.layout import REPORT_FILE

_MISSING = "missing"
# Beside the objectives; with the default ones, the table fits 80 columns.
_TOLD = ("bpp", "psnr_db", "decode_ms")
_OF_CODECS = ("kFLOPs\n/px", "RD\nloss", "bpp", "dB", "encode\ns")


def print_frontier(
    out: Path, console: Console, objectives: Sequence[str] = DEFAULT_OBJECTIVES
) -> None:
    """Prints the measured points, one table per image set and codec settings, and a
    line of counts by state with the path of the report.

    Args:
      objectives: of the frontier, names of `analysis.measures.MEASURES`; rows begin
        with the best in the first one.

    Raises:
      DataError: where `analysis.gather.gather` has not written the tables.
    """
    data = ReportData.read(out, objectives)
    measured = data.frontier[data.frontier["state"] == "measured"]
    devices = {device["id"]: device["name"] for device in data.devices}
    shown = [*objectives, *(name for name in _TOLD if name not in objectives)]
    for dataset in data.datasets:
        for codec in data.codecs:
            chosen = measured["dataset"] == dataset["name"]
            rows = measured[chosen & (measured["codec"] == codec)]
            if not rows.empty:
                title = f"{data.sweep.get('grid', 'frontier')} on {dataset['name']}"
                if len(data.codecs) > 1:
                    title += f" ({codec})"
                console.print(_table(rows, title, devices, measures_of(shown)))
    runs = len(data.tables["runs"])
    if not measured.empty:
        note = f"★ not dominated in {objectives_note(objectives)}"
        console.print(note, highlight=False)
    elif runs:
        console.print("No run was measured yet.")
    if (data.other_codecs["family"] == OVERFITTED).any():
        for name, points in data.other_codecs.groupby("dataset"):
            console.print(_other_codecs(points, f"codecs without a model on {name}"))
    if runs:
        counts = data.frontier.drop_duplicates("run_id")["state"].value_counts()
        summary = ", ".join(f"{counts[s]} {s}" for s in STATES if s in counts.index)
        console.print(f"{runs} runs: {summary}", highlight=False)
    if data.problems:
        console.print(f"{len(data.problems)} records could not be read")
    report = Path(out).resolve() / REPORT_FILE
    if report.exists():
        console.print(f"report: {report}", soft_wrap=True, highlight=False)


def _other_codecs(points: pd.DataFrame, title: str) -> Table:
    """Overfitted codecs, and classical ones at their best setting for the lambda."""
    table = Table(
        title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    table.add_column("codec", no_wrap=True)
    for name in ("im-\nages", "lambda", *_OF_CODECS):
        table.add_column(name, justify="right", no_wrap=True)
    for point in points.sort_values(["lmbda", "rd_loss"]).to_dict("records"):
        table.add_row(
            *(point["label"], f"{point['images']:.0f}"),
            f"{point['lmbda']:g}",
            "-" if pd.isna(point["kflops_per_px"]) else f"{point['kflops_per_px']:.1f}",
            f"{point['rd_loss']:.3f}",
            f"{point['bpp']:.3f}",
            f"{point['psnr_db']:.2f}",
            f"{point['encode_ms'] / 1000:,.2f}",
        )
    return table


def _table(
    rows: pd.DataFrame, title: str, devices: dict[str, str], measures: list[Measure]
) -> Table:
    hardware_id = rows["decode_hardware_id"].iloc[0]
    caption = f"decode: {MAIN_STAGE} alone, {devices.get(hardware_id, _MISSING)}"
    table = Table(
        title=title,
        caption=caption,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("")
    table.add_column("name", no_wrap=True)
    for measure in measures:
        words = [*measure.label.split(), *measure.unit.replace("/", " /").split()]
        table.add_column("\n".join(words), justify="right", no_wrap=True)
    differs = (rows["differs_in"] != "").any()
    if differs:
        table.add_column("differs\nin")
    first = measures[0]
    order = rows[first.name].sort_values(kind="stable", ascending=first.minimise).index
    for _, row in rows.loc[order].iterrows():
        table.add_row(
            "★" if row["on_frontier"] else "",
            _called(row),
            *(_number(row[measure.name], measure.decimals) for measure in measures),
            *([row["differs_in"].replace("_", " ")] if differs else []),
            style="bold" if row["on_frontier"] else None,
        )
    return table


def _called(row: pd.Series) -> str:
    named = isinstance(row["name"], str)
    return f"{row['name']} {row['family']}" if named else row["label"]


def _number(value: float, decimals: int) -> str:
    return _MISSING if pd.isna(value) else f"{value:,.{decimals}f}"
