"""The parts of the page that are text and tables: they need no script."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis import baselines, references
from analysis.curves import anchor_label
from analysis.decode_estimates import NO_MEASUREMENT, conditions
from analysis.decode_times import MAIN_STAGE
from analysis.measures import objectives_note
from analysis.reference_points import reference_points
from analysis.report.data import STATES, ReportData
from rdc.measurements.rows import STAGES

_MAX_LISTED = 200  # unfinished runs listed with their errors
_MAX_INVERSIONS = 10
_MAX_RECORDS = 20  # named in a notice


def text(value: object) -> str:
    """As HTML."""
    return html.escape(str(value))


def notices(data: ReportData) -> str:
    """What keeps points or times from being compared, and what was left out."""
    found = [_differing(data), _elsewhere(data), _other_conditions(data)]
    if data.problems:
        items = [f"{p['record']}: {p['problem']}" for p in data.problems]
        found.append(
            f"Left out, because they could not be read: {len(items)}{_list(items)}"
        )
    return "\n".join(
        f'<div class="notice">{notice}</div>' for notice in found if notice
    )


def _differing(data: ReportData) -> str:
    differing = data.frontier["differs_in"]
    names = sorted({n for words in differing for n in words.split(", ") if n})
    if not names:
        return ""
    return (
        f"{(differing != '').sum()} points were made under other conditions than most "
        f"({text(', '.join(names).replace('_', ' '))}). They are hollow, do not "
        "compare with the rest, and keep no other point from a frontier."
    )


def _elsewhere(data: ReportData) -> str:
    if not data.elsewhere:
        return ""
    items = [
        f"{job['record']}: planned {job['planned_hardware_id']}, "
        f"ran on {job['hardware_id']}"
        for job in data.elsewhere
    ]
    return (
        f"{len(items)} jobs ran on other hardware than planned; their times stand "
        f"under the hardware that they ran on{_list(items)}"
    )


def _other_conditions(data: ReportData) -> str:
    left_out = data.decode_times.left_out
    if not left_out:
        return ""
    usual = "; ".join(f"{d['name']}: {d['conditions']}" for d in data.devices)
    return (
        f"{left_out} medians of decode times were taken under other conditions than "
        f"most of their device, and are in the table decode_times alone. Shown: "
        f"{text(usual)}."
    )


def _list(items: list[str]) -> str:
    more = len(items) - _MAX_RECORDS
    shown = items[:_MAX_RECORDS] + ([f"and {more} more"] if more > 0 else [])
    return f"<ul>{''.join(f'<li>{text(item)}</li>' for item in shown)}</ul>"


def status(data: ReportData) -> str:
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
            row.label,
            row.run_id,
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
    heads = ["Model", "Run", "Status", "Attempts", "Error"]
    return f"{summary}<h3>Runs without a result</h3>{_table(heads, listed)}{more}"


def curves(data: ReportData) -> str:
    """BD-rates by anchor, that of the measure first; and why others have none."""
    table = data.tables["curves"]
    compared = table[table["bd_rate_percent"].notna()]
    points = data.frontier.drop_duplicates("curve_id").set_index("curve_id")
    usual = set(data.frontier["bd_anchor"].dropna())
    groups = compared.groupby(["anchor", "anchor_source"])
    parts = []
    for (name, source), own in sorted(
        groups, key=lambda group: group[0][0] not in usual
    ):
        anchor = f"{anchor_label(name)}, {source}"
        rows: list[list[object]] = [
            [
                _with_seed(points.loc[row.curve_id], data),
                f"{row.dataset}, {row.coder}, {row.numerics}",
                anchor,
                _percent(row),
                f"{row.range_low_db:.2f} to {row.range_high_db:.2f} dB, "
                f"{row.overlap_points} points",
                row.interpolation,
            ]
            for row in own.sort_values("bd_rate_percent").itertuples()
        ]
        heads = ["Curve", "Measured on", "Anchor", "BD-rate", "Range", "Interpolation"]
        parts.append(
            f"<details{' open' if name in usual else ''}><summary>{text(anchor)}: "
            f"{len(rows)} curves</summary>{_table(heads, rows)}</details>"
        )
    if not parts:
        parts = ['<p class="missing">missing: no curve compares with an anchor</p>']
    left_out = table.loc[table["reason"].notna(), ["curve_id", "dataset", "reason"]]
    reasons = left_out.drop_duplicates()["reason"].value_counts()
    items = [f"{reason} ({count} curves)" for reason, count in reasons.items()]
    if items:
        parts.append(f'<p class="note">Without a number:</p>{_list(items)}')
    return "".join(parts)


def _with_seed(point: pd.Series, data: ReportData) -> str:
    """Of a model, its seed where the sweep has several."""
    several = data.frontier["seed"].nunique() > 1
    return f"{point['label']}, seed {point['seed']:.0f}" if several else point["label"]


def _percent(row: Any) -> str:
    text = f"{row.bd_rate_percent:+.2f} %"
    if pd.isna(row.bd_rate_low_percent):
        return text
    low, high = row.bd_rate_low_percent, row.bd_rate_high_percent
    return f"{text} ({low:+.1f} to {high:+.1f})"


_RANK_HEADS = ("Architectures", "Kendall tau-b", "Spearman rho")


def ranks(data: ReportData) -> str:
    """Of times, and apart from them of estimates."""
    parts = (_measured_ranks, _between_devices, _inversions, _estimated_ranks)
    return "".join(part(data) for part in parts)


def _between_devices(data: ReportData) -> str:
    table = data.ranks_between_devices
    if table.empty:
        return ""
    names = {device["id"]: device["name"] for device in data.devices}
    rows = [
        [
            names[row.hardware_id],
            names[row.other_hardware_id],
            *_correlated(row),
        ]
        for row in table.itertuples()
    ]
    heads = ["Device", "against", *_RANK_HEADS]
    return f"<h3>Does one device order decoders as another?</h3>{_table(heads, rows)}"


def _inversions(data: ReportData) -> str:
    table = data.inversions
    if table.empty:
        return ""
    names = {device["id"]: device["name"] for device in data.devices}
    said = data.labels
    rows = [
        [
            names[row.hardware_id],
            said[row.fewer_flops],
            said[row.faster],
            f"{row.flops_ratio:.2f} x",
            f"{row.time_ratio:.2f} x",
        ]
        for row in table.groupby("hardware_id").head(_MAX_INVERSIONS).itertuples()
    ]
    heads = [
        *("Device", "Fewer FLOPs, slower", "More FLOPs, faster"),
        *("FLOPs", "Time"),
    ]
    note = (
        f"{len(table)} pairs change places beyond the quartiles of their times; of "
        f"each device at most {_MAX_INVERSIONS}, the largest first."
    )
    return (
        f'<h3>Where FLOPs mislead</h3><p class="note">{note}</p>{_table(heads, rows)}'
    )


def _estimated_ranks(data: ReportData) -> str:
    table = data.estimated_ranks
    if table.empty:
        return ""
    rows = [
        [
            f"{row.device_kind}, estimated",
            MAIN_STAGE,
            conditions(own),
            *_correlated(row),
        ]
        for row in table.itertuples()
        for own in [data.estimates[data.estimates["device_kind"] == row.device_kind]]
    ]
    heads = ["Device", "Stage", "Estimated for", *_RANK_HEADS]
    return f"<h3>Not timed: {text(NO_MEASUREMENT)}</h3>{_table(heads, rows)}"


def _measured_ranks(data: ReportData) -> str:
    table = data.rank_correlations
    if table.empty:
        return '<p class="missing">missing: fewer than three architectures timed</p>'
    names = {device["id"]: device["name"] for device in data.devices}
    rows = [
        [
            names[row.hardware_id],
            row.stage.replace("_", " "),
            f"{row.coder}, {row.numerics}",
            *_correlated(row),
        ]
        for row in table.itertuples()
    ]
    return _table(["Hardware", "Stage", "Codec", *_RANK_HEADS], rows)


def _correlated(row: Any) -> list[object]:
    """Cells under `_RANK_HEADS`."""
    return [
        row.architectures,
        _interval(row.kendall_tau_b, row.kendall_low, row.kendall_high),
        _interval(row.spearman_rho, row.spearman_low, row.spearman_high),
    ]


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def footer(data: ReportData) -> str:
    sweep = data.sweep
    runs = data.tables["runs"]
    code = sorted(runs["git_sha"].dropna().unique())
    hardware = data.tables["hardware"]
    points = baselines.kodak().drop_duplicates("codec")
    codecs = data.codec_points.drop_duplicates(["label", "dataset"])
    entries: list[tuple[str, Sequence[object]]] = [
        ("Objectives", [objectives_note(data.objectives)]),
        ("Decode stages", [", ".join(STAGES).replace("_", " ")]),
        ("Created", [sweep.get("created_at", "missing")]),
        ("Code of the runs", code or ["missing"]),
        ("Versions", [f"{k} {v}" for k, v in _items(sweep.get("versions"))]),
        ("Data", [_dataset(k, v) for k, v in _items(sweep.get("datasets"))]),
        (
            "Training data hash",
            sorted(str(v)[:16] for v in runs["data_sha256"].dropna().unique()),
        ),
        ("Hardware", _machines(hardware)),
        (
            "Codecs measured here",
            [
                f"{row.label} {row.version} on {row.dataset} ({row.images} images)"
                for row in codecs.itertuples()
            ],
        ),
        (
            "Published points",
            [
                f"{row.label} ({row.codec}): {row.source_repo} {row.source_path} "
                f"at {row.source_commit[:10]}; {row.notes}"
                for row in points.itertuples()
            ],
        ),
        (
            "Published decoder costs",
            [
                f"{point.codec}: {point.kflops_per_px:g} kFLOPs/px, {point.source}"
                for point in reference_points()
                if point.kflops_per_px is not None
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
        f"<dt>{text(term)}</dt><dd>{'<br>'.join(map(text, values or ['missing']))}</dd>"
        for term, values in entries
    ]
    config = json.dumps(sweep.get("config", {}), indent=1)
    return (
        f"<dl>{''.join(parts)}</dl><details><summary>Resolved configuration</summary>"
        f"<pre>{text(config)}</pre></details>"
    )


def _items(value: object) -> list[tuple[str, object]]:
    return list(value.items()) if isinstance(value, dict) else []


def _dataset(role: str, facts: object) -> str:
    known = dict(_items(facts))
    sha256 = str(known.get("data_sha256", "missing"))[:16]
    return f"{role}: {known.get('name')} ({known.get('source')}), hash {sha256}"


def _machines(hardware: pd.DataFrame) -> list[str]:
    """Each once, with the ids that its records have."""
    ids: dict[str, list[str]] = {}
    for row in hardware.to_dict("records"):
        ids.setdefault(_hardware(row), []).append(str(row["hardware_id"]))
    return [f"{facts}: {', '.join(own)}" for facts, own in ids.items()]


def _hardware(row: dict[str, object]) -> str:
    facts = [
        f"{row['device_count']} x {row['device_kind']} ({row['platform']})",
        *(
            f"{name.replace('_', ' ')} {row[name]}"
            for name in ("driver", "host_cpu", "jax_version", "clock_note")
            if not pd.isna(row[name])
        ),
    ]
    return ", ".join(facts)


def _table(heads: list[str], rows: list[list[object]]) -> str:
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in heads)
    body = "".join(
        "<tr>" + "".join(f'<td class="wrap">{text(v)}</td>' for v in row) + "</tr>"
        for row in rows
    )
    table = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="static"><table>{table}</table></div>'
