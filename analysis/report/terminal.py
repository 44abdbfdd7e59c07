"""The frontier as a table on the terminal."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from analysis.frontier_table import MAIN_STAGE, OBJECTIVES_NOTE
from analysis.report.data import STATES, ReportData

_MISSING = "missing"


def print_frontier(out: Path, console: Console) -> None:
    """Prints the measured points, cheapest decoder first, one table per image set,
    and a line of counts by state with the path of the report.

    Raises:
      DataError: where `analysis.gather.gather` has not written the tables.
    """
    data = ReportData.read(out)
    measured = data.frontier[data.frontier["state"] == "measured"]
    devices = {device["id"]: device["name"] for device in data.devices}
    for dataset in data.datasets:
        rows = measured[measured["dataset"] == dataset["name"]]
        if not rows.empty:
            title = f"{data.sweep.get('grid', 'frontier')} on {dataset['name']}"
            console.print(_table(rows, title, devices))
    if measured.empty:
        console.print("No run was measured yet.")
    else:
        console.print(f"★ not dominated in {OBJECTIVES_NOTE}", highlight=False)
    counts = data.frontier.drop_duplicates("run_id")["state"].value_counts()
    summary = ", ".join(f"{counts[s]} {s}" for s in STATES if s in counts.index)
    console.print(f"{len(data.tables['runs'])} runs: {summary}", highlight=False)
    if data.problems:
        console.print(f"{len(data.problems)} records could not be read")
    report = Path(out).resolve() / "report" / "index.html"
    if report.exists():
        console.print(f"report: {report}", soft_wrap=True, highlight=False)


def _table(rows: pd.DataFrame, title: str, devices: dict[str, str]) -> Table:
    hardware_id = rows["decode_hardware_id"].iloc[0]
    caption = f"decode: {MAIN_STAGE} alone, {devices.get(hardware_id, _MISSING)}"
    table = Table(  # fits 80 columns
        title=title,
        caption=caption,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("")
    for name in ("name", "family"):
        table.add_column(name, no_wrap=True)
    for name in ("kFLOPs\n/px", "RD\nloss", "bpp", "PSNR\ndB", "decode\nms"):
        table.add_column(name, justify="right", no_wrap=True)
    differs = (rows["differs_in"] != "").any()
    if differs:
        table.add_column("differs\nin")
    for row in rows.sort_values("kflops_per_px", kind="stable").itertuples():
        table.add_row(
            "★" if row.on_frontier else "",
            row.name if isinstance(row.name, str) else row.run_id[:8],
            row.family,
            _number(row.kflops_per_px, 1),
            _number(row.rd_loss, 3),
            _number(row.bpp, 3),
            _number(row.psnr_db, 2),
            _number(row.decode_ms, 1),
            *([row.differs_in.replace("_", " ")] if differs else []),
            style="bold" if row.on_frontier else None,
        )
    return table


def _number(value: float, decimals: int) -> str:
    return _MISSING if pd.isna(value) else f"{value:,.{decimals}f}"
