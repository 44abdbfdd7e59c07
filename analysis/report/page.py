"""The frontier report: one offline HTML file, static figures and CSV beside it."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template

import pandas as pd

from analysis import baselines, references
from analysis.frontier_table import OBJECTIVES_NOTE, STAGES
from analysis.report.data import STATES, ReportData
from analysis.report.figures import write_figures
from analysis.report.style import COMPONENT_COLOURS
from rdc.system.files import write_bytes_atomically

_TEMPLATES = Path(__file__).with_name("templates")
_SCRIPTS = ("util.js", "state.js", "plot.js", "table.js", "app.js")
_MAX_LISTED = 200  # unfinished runs listed with their errors


def write_report(out: Path) -> Path:
    """Writes OUT/report from OUT/tables, and returns the path of index.html.

    Beside it: figures/*.{svg,png,pdf}, frontier.csv, runs.csv, cost_breakdown.csv and
    rank_correlation.csv.

    Raises:
      DataError: where `analysis.gather.gather` has not written the tables.
      StorageError: where the report cannot be written.
    """
    data = ReportData.read(out)
    folder = Path(out) / "report"
    for name, table in (
        ("frontier", data.frontier),
        ("runs", data.tables["runs"]),
        ("cost_breakdown", data.cost_breakdown.reset_index()),
        ("rank_correlation", data.rank_correlations),
    ):
        text = table.to_csv(index=False, float_format="%.8g", lineterminator="\n")
        write_bytes_atomically(folder / f"{name}.csv", text.encode(), durable=False)
    write_figures(data, folder / "figures")
    path = folder / "index.html"
    write_bytes_atomically(path, page(data).encode(), durable=False)
    return path


def page(data: ReportData) -> str:
    """The HTML file, with style, script and data inside."""
    payload = data.payload() | {"component_colours": COMPONENT_COLOURS}
    shown, counted = len(payload["bars"]), len(data.tables["architectures"])
    text = _read("report.html")
    return Template(text).substitute(
        title=_text(data.title),
        summary=_text(data.summary()),
        notices=_notices(data),
        css=_read("report.css"),
        frontier_note=_text(
            "Lower is better on both axes. The black staircase joins the non-dominated "
            f"points of what is shown ({OBJECTIVES_NOTE})."
        ),
        bars_note=_text(f"{shown} of {counted} architectures, cheapest first."),
        status=_status(data),
        ranks=_ranks(data),
        footer=_footer(data),
        # "</script>" inside a string must not end the element.
        data=json.dumps(payload, separators=(",", ":"), allow_nan=False).replace(
            "<", "\\u003c"
        ),
        script="\n".join(_read(name) for name in _SCRIPTS),
    )


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _text(value: object) -> str:
    return html.escape(str(value))


def _notices(data: ReportData) -> str:
    notices = []
    differing = data.frontier["differs_in"]
    if (differing != "").any():
        names = sorted({n for text in differing for n in text.split(", ") if n})
        notices.append(
            f"{(differing != '').sum()} points were made under other conditions than "
            f"most ({_text(', '.join(names).replace('_', ' '))}). They are hollow, and "
            "do not compare with the rest."
        )
    if data.problems:
        items = "".join(
            f"<li>{_text(p['record'])}: {_text(p['problem'])}</li>"
            for p in data.problems[:20]
        )
        notices.append(
            f"Left out, because they could not be read: {len(data.problems)}<ul>"
            f"{items}</ul>"
        )
    return "\n".join(f'<div class="notice">{notice}</div>' for notice in notices)


def _status(data: ReportData) -> str:
    """Counts by state, and every run without a result with its error."""
    rows = data.frontier.drop_duplicates("run_id")
    counts = rows["state"].value_counts()
    summary = _table(
        ["State", "Runs"], [[s, counts[s]] for s in STATES if s in counts.index]
    )
    runs = data.tables["runs"].set_index("run_id")
    unfinished = rows[rows["state"] != "measured"]
    order = unfinished["state"].map(STATES.index)
    unfinished = unfinished.iloc[order.argsort(kind="stable")]
    listed = [
        [
            row.name if isinstance(row.name, str) else row.run_id,
            row.family,
            row.status if row.state != "not evaluated" else row.state,
            runs["attempts"][row.run_id],
            error if isinstance(error := runs["error"][row.run_id], str) else "",
        ]
        for row in unfinished.head(_MAX_LISTED).itertuples(index=False)
    ]
    if not listed:
        return summary + '<p class="note">Every planned run was measured.</p>'
    left_out = len(unfinished) - len(listed)
    more = f"<p>{left_out} more are in runs.csv.</p>" if left_out else ""
    heads = ["Run", "Family", "Status", "Attempts", "Error"]
    return f"{summary}<h3>Runs without a result</h3>{_table(heads, listed)}{more}"


def _ranks(data: ReportData) -> str:
    table = data.rank_correlations
    if table.empty:
        return '<p class="missing">missing: fewer than three architectures timed</p>'
    names = {device["id"]: device["name"] for device in data.devices}
    rows = [
        [
            names[row.hardware_id],
            row.stage.replace("_", " "),
            row.architectures,
            _interval(row.kendall_tau_b, row.kendall_low, row.kendall_high),
            _interval(row.spearman_rho, row.spearman_low, row.spearman_high),
        ]
        for row in table.itertuples()
    ]
    heads = ["Hardware", "Stage", "Architectures", "Kendall tau-b", "Spearman rho"]
    return _table(heads, rows)


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _footer(data: ReportData) -> str:
    sweep = data.sweep
    runs = data.tables["runs"]
    code = sorted(runs["git_sha"].dropna().unique())
    hardware = data.tables["hardware"]
    points = baselines.kodak().drop_duplicates("codec")
    entries: list[tuple[str, Sequence[object]]] = [
        ("Objectives", [OBJECTIVES_NOTE]),
        ("Decode stages", [", ".join(STAGES).replace("_", " ")]),
        ("Created", [sweep.get("created_at", "missing")]),
        ("Code of the runs", code or ["missing"]),
        ("Versions", [f"{k} {v}" for k, v in _items(sweep.get("versions"))]),
        ("Data", [f"{k}: {v}" for k, v in _items(sweep.get("datasets"))]),
        (
            "Training data hash",
            sorted(str(v)[:16] for v in runs["data_sha256"].dropna().unique()),
        ),
        ("Hardware", [_hardware(row) for row in hardware.to_dict("records")]),
        (
            "Published points",
            [
                f"{row.label} ({row.codec}): {row.source_repo} {row.source_path} "
                f"at {row.source_commit[:10]}; {row.notes}"
                for row in points.itertuples()
            ],
        ),
        (
            "Reference models",
            [
                f"{row.label}, batch {row.batch_size}, {row.crop_px} px crops: "
                f"docs/results/reference_models run {row.run_id}, {row.host_cpu} "
                f"({row.device_kind}), code {row.git_sha}"
                for row in references.kodak().itertuples()
            ],
        ),
    ]
    parts = [
        f"<dt>{_text(term)}</dt>"
        f"<dd>{'<br>'.join(map(_text, values or ['missing']))}</dd>"
        for term, values in entries
    ]
    config = json.dumps(sweep.get("config", {}), indent=1)
    return (
        f"<dl>{''.join(parts)}</dl><details><summary>Resolved configuration</summary>"
        f"<pre>{_text(config)}</pre></details>"
    )


def _items(value: object) -> list[tuple[str, object]]:
    return list(value.items()) if isinstance(value, dict) else []


def _hardware(row: dict[str, object]) -> str:
    facts = [
        f"{row['device_count']} x {row['device_kind']} ({row['platform']})",
        *(
            f"{name.replace('_', ' ')} {row[name]}"
            for name in ("driver", "host_cpu", "jax_version", "clock_note")
            if not pd.isna(row[name])
        ),
    ]
    return f"{row['hardware_id']}: {', '.join(facts)}"


def _table(heads: list[str], rows: list[list[object]]) -> str:
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in heads)
    body = "".join(
        "<tr>" + "".join(f'<td class="wrap">{_text(v)}</td>' for v in row) + "</tr>"
        for row in rows
    )
    table = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="static"><table>{table}</table></div>'
