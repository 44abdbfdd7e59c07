"""The frontier report: one offline HTML file, static figures and CSV beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from string import Template

from analysis.measures import DEFAULT_OBJECTIVES
from analysis.report import sections, tasks_section
from analysis.report.data import ReportData
from analysis.report.figures import write_figures
from analysis.report.payload import payload
from analysis.task_methods import methods_table
from rdc.jobs.layout import REPORT_FILE
from rdc.system.files import write_bytes_atomically

_TEMPLATES = Path(__file__).with_name("templates")
_SCRIPTS = ("util.js", "state.js", "plot.js", "table.js", "tasks.js", "app.js")


def write_report(out: Path, objectives: Sequence[str] = DEFAULT_OBJECTIVES) -> Path:
    """Writes OUT/report from OUT/tables, and returns the path of index.html.

    Beside it: figures/*.{svg,png,pdf}, frontier.csv, runs.csv, curves.csv,
    cost_breakdown.csv, rank_correlation.csv, ranks_between_devices.csv,
    inversions.csv, and of devices that are not at hand
    decode_estimates.csv and estimated_ranks.csv; of a sweep with a task
    task_methods.csv.

    Args:
      objectives: of the frontier, names of `analysis.measures.MEASURES`; the first two
        are the axes of its plot.

    Raises:
      DataError: where `analysis.gather.gather` has not written the tables.
      ConfigError: an unknown objective.
      StorageError: where the report cannot be written.
    """
    data = ReportData.read(out, objectives)
    path = Path(out) / REPORT_FILE
    folder = path.parent
    methods = data.task_methods
    for name, table in (
        ("frontier", data.frontier),
        ("runs", data.tables["runs"]),
        ("curves", data.tables["curves"]),
        ("cost_breakdown", data.cost_breakdown.reset_index()),
        ("rank_correlation", data.rank_correlations),
        ("ranks_between_devices", data.ranks_between_devices),
        ("inversions", data.inversions),
        ("estimated_ranks", data.estimated_ranks),
        ("decode_estimates", data.estimates),
        *([("task_methods", methods_table(methods))] if methods else []),
    ):
        text = table.to_csv(index=False, float_format="%.10g", lineterminator="\n")
        write_bytes_atomically(folder / f"{name}.csv", text.encode(), durable=False)
    write_figures(data, folder / "figures")
    write_bytes_atomically(path, page(data).encode(), durable=False)
    return path


def page(data: ReportData) -> str:
    """The HTML file, with style, script and data inside."""
    values = payload(data)
    shown, counted = len(values["bars"]), len(data.tables["architectures"])
    return Template(_read("report.html")).substitute(
        title=sections.text(data.title),
        summary=sections.text(data.summary()),
        notices=sections.notices(data),
        css=_read("report.css"),
        tasks=tasks_section.tasks(data),
        bars_note=f"{shown} of {counted} architectures, cheapest first.",
        status=sections.status(data),
        curves=sections.curves(data),
        ranks=sections.ranks(data),
        footer=sections.footer(data),
        # "</script>" inside a string must not end the element.
        data=json.dumps(values, separators=(",", ":"), allow_nan=False).replace(
            "<", "\\u003c"
        ),
        script="\n".join(_read(name) for name in _SCRIPTS),
    )


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
