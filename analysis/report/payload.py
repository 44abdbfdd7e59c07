"""The report's data for the page's script: one object, JSON-ready."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd

from analysis import baselines, references
from analysis.curves import anchor_label
from analysis.decode_estimates import NO_MEASUREMENT, conditions
from analysis.decode_times import statistics
from analysis.measures import MEASURES
from analysis.reference_points import claimed_savings
from analysis.report.data import ReportData
from analysis.report.json_columns import numbers, texts
from analysis.report.style import COMPONENT_COLOURS
from analysis.report.tasks_section import tasks_payload
from rdc.measurements.rows import STAGES

_TEXTS = (
    *("run_id", "arch_id", "name", "label", "status", "evaluation_status", "state"),
    *("family", "dataset", "codec", "distortion", "differs_in"),
    *("estimated_device_kind", "bd_window", "bd_gap"),
)
_NUMBERS = (
    *("rate", "lmbda", "steps", "batch_size", "crop_px", "seed", "images"),
    *(name for measure in MEASURES.values() for name in measure.interval),
    "frontier_probability",
)
# What is told of a point beside the objectives, the axes and its decode times.
_TOLD = ("kflops_per_px", "params_total", "bpp", "psnr_db", "rd_loss")


def payload(data: ReportData) -> dict[str, Any]:
    """What `templates/state.js` reads."""
    bars = data.cost_breakdown
    return {
        "families": [asdict(style) for style in data.styles],
        "datasets": data.datasets,
        "devices": data.devices,
        "codecs": data.codecs,
        "stages": list(STAGES),
        "measures": [
            {
                "name": measure.name,
                "title": measure.title,
                "label": measure.label,
                "minimise": measure.minimise,
                "log": measure.log,
                "interval": measure.interval,
                "within": measure.within,
                "per_hardware": measure.of == "hardware",
            }
            for measure in MEASURES.values()
        ],
        "objectives": data.objectives,
        "axes": [measure.name for measure in data.axes],
        "told": _TOLD,
        "estimates": _estimates(data),
        "points": _points(data),
        "components": list(bars.columns),
        "component_colours": COMPONENT_COLOURS,
        "bars": [
            {"label": label, "values": [round(v, 4) for v in values]}
            for label, *values in bars.itertuples()
        ],
        "published": [
            {
                "label": label,
                "bpp": numbers(points["bpp"]),
                "psnr_db": numbers(points["psnr_db"]),
            }
            for codec, label in baselines.LABELS.items()
            for points in [baselines.kodak_curve(codec)]
        ],
        "classical": [
            {
                "label": label,
                "dataset": dataset,
                "bpp": numbers(points["bpp"]),
                "psnr_db": numbers(points["psnr_db"]),
            }
            for (dataset, label), points in data.classical.groupby(
                ["dataset", "label"], sort=False
            )
        ],
        "references": _references(),
        "other_codecs": _other_codecs(data.other_codecs),
        "claims": _claims(data),
        "tasks": tasks_payload(data),
    }


def _points(data: ReportData) -> dict[str, Any]:
    table = data.frontier
    plain = [m.name for m in MEASURES.values() if m.of != "hardware"]
    devices = [c for c in table if "." in c and c.split(".")[0] in statistics()]
    columns: dict[str, Any] = {name: texts(table[name]) for name in _TEXTS}
    for name in (*_NUMBERS, *plain, *devices):
        columns[name] = numbers(table[name])
    columns["bd_anchor"] = texts(table["bd_anchor"].map(anchor_label, "ignore"))
    errors = data.tables["runs"].set_index("run_id")["error"]
    columns["error"] = texts(table["run_id"].map(errors))
    columns["config"] = texts(table["arch_id"].map(data.configurations))
    columns["curve"] = _curves(table)
    return columns


def _estimates(data: ReportData) -> list[dict[str, Any]]:
    """Per device that is not at hand: milliseconds by point, apart from its times."""
    architectures = data.frontier["arch_id"]
    return [
        {
            "name": f"{device_kind}, estimated",
            "note": f"{NO_MEASUREMENT}: {conditions(rows)}",
            "network_ms": numbers(
                architectures.map(rows.set_index("arch_id")["decode_ms"])
            ),
        }
        for device_kind, rows in data.estimates.groupby("device_kind")
    ]


def _curves(table: pd.DataFrame) -> list[int]:
    """A number for each curve of two and more measured points; -1 for the others."""
    keys = ["curve_id", "dataset", "codec"]
    measured = table[table["state"] == "measured"]
    curves = measured.groupby(keys).ngroup()
    many = curves.map(curves.value_counts()) > 1
    return curves.where(many).reindex(table.index).fillna(-1).astype(int).tolist()


def _references() -> list[dict[str, Any]]:
    models = references.kodak()
    names = [name for name in MEASURES if name in models]
    told = ["label", "family", "lmbda", "distortion", *names]
    return models[told].to_dict("records")


def _claims(data: ReportData) -> list[dict[str, Any]]:
    """RD losses at the lambdas of the points, and BD-rates against their anchors."""
    anchors = data.frontier["bd_anchor"].dropna().unique()
    savings = [claimed_savings(anchor) for anchor in anchors]
    return [
        row
        for table in (data.claims.round(6), *savings)
        for row in table.replace({"bd_anchor": baselines.LABELS}).to_dict("records")
    ]


def _other_codecs(points: pd.DataFrame) -> list[dict[str, Any]]:
    names = [name for name in MEASURES if name in points]
    told = ["label", "family", "dataset", "lmbda", "distortion", *names]
    rows = points[told].to_dict("records")
    return [{k: v for k, v in row.items() if v == v} for row in rows]
