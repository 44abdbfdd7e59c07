"""Tasks behind a codec on the page: the section's text, and the data of its panel."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from typing import Any

import pandas as pd

from analysis.report.data import ReportData
from analysis.report.json_columns import numbers
from analysis.report.sections import text
from analysis.report.style import family_styles
from analysis.task_methods import (
    TASK_MEASURES,
    TaskMethod,
    compared,
    is_reference,
    measure_title,
    methods_table,
)
from analysis.task_verdicts import EXPLAINED, told_of

# Columns that the panel has across: their titles, and what makes their units.
AXES = {
    "bytes_per_datum": ("bytes per photograph", 1.0),
    "encoder_bits": ("encoder (kbit)", 1e-3),
    "encoder_kmacs_per_px": ("encoder (kMAC/px)", 1.0),
    "exr": ("ExR (Gbit B)", 1e-9),
    "tail_kmacs_per_px": ("server (kMAC/px)", 1.0),
}
_KEYS = ["dataset", "task", "method", "setting", "run_id"]
_SECTION = """\
<section id="tasks">
<h2>Tasks</h2>
<p class="note">Each method encodes every photograph into real bytes, which a server \
answers. Filters of the other sections change nothing here.</p>
<h3>When a codec, when a student, when the device itself</h3>
<p class="note">{explained}</p>
{verdicts}
<div id="task-selects"></div>
<div id="task-families" role="group" aria-label="Methods"></div>
<p id="tasks-note" class="note"></p>
<div id="plot-tasks" class="plot wide"></div>
<div class="toolbar">
<button id="clear-tasks" type="button" hidden>Clear selection</button>
<span id="tasks-count" role="status"></span>
</div>
<div class="scroll" tabindex="0" role="region" aria-label="Table of methods">\
<table id="task-methods"></table></div>
</section>
"""


def tasks(data: ReportData) -> str:
    """The section; empty where the sweep has no task."""
    if not data.task_methods:
        return ""
    parts = []
    for name, methods in groupby(data.task_methods, key=_name):
        items = "".join(f"<li>{text(line)}</li>" for line in told_of(list(methods)))
        parts.append(f'<h4>{text(name)}</h4><ul class="verdicts">{items}</ul>')
    return _SECTION.format(explained=text(EXPLAINED), verdicts="\n".join(parts))


def _name(method: TaskMethod) -> str:
    return f"{method.dataset}, {method.task}"


def tasks_payload(data: ReportData) -> dict[str, Any] | None:
    """What `templates/tasks.js` reads: points, one a seed, each with the `row` of its
    method and setting.
    """
    methods = data.task_methods
    if not methods:
        return None
    rows = methods_table(methods)
    places = {tuple(key): i for i, key in enumerate(rows[_KEYS].to_numpy())}
    points = data.tables["task_results"].assign(
        run_id=lambda table: table["run_id"].fillna("")
    )
    whole = [m for _, own in groupby(methods, key=_name) for m in compared(list(own))]
    own = [places[tuple(key)] for key in points[_KEYS].to_numpy()]
    values = [*AXES, *(measure.name for measure in TASK_MEASURES)]
    errors = [measure.error for measure in TASK_MEASURES]
    return {
        "names": list(dict.fromkeys(map(_name, methods))),
        "measures": [
            {
                "name": measure.name,
                "title": measure_title(measure, (m.task for m in methods)),
                "minimise": measure.minimise,
                "error": measure.error,
            }
            for measure in TASK_MEASURES
        ],
        "axes": [{"name": name, "title": title} for name, (title, _) in AXES.items()],
        "families": [
            asdict(style)
            for style in family_styles(m.label for m in methods if not is_reference(m))
        ],
        "methods": {
            "name": [_name(method) for method in methods],
            "compares": [method in whole for method in methods],
            "is_reference": [is_reference(method) for method in methods],
            **{
                name: rows[name].tolist()
                for name in ("label", "method", "setting", "run_id", "seeds")
            },
            "image_count": rows["image_count"].tolist(),
            **_scaled(rows, [*values, *errors]),
        },
        "points": {
            "row": own,
            "seed": points["seed"].tolist(),
            **_scaled(points, values),
        },
    }


def _scaled(table: pd.DataFrame, names: list[str]) -> dict[str, list[float | None]]:
    """Columns in the units of their titles."""
    scales = {name: scale for name, (_, scale) in AXES.items()}
    for measure in TASK_MEASURES:
        scales |= dict.fromkeys((measure.name, measure.error), measure.scale)
    return {name: numbers(scales[name] * table[name]) for name in names}
