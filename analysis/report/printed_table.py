"""The models of a sweep as one table for a paper: CSV, LaTeX or Markdown.

As table 1 of Minnen & Johnston 2023: cost, size, rate saved, decode time; a row per
curve, cheapest decoder first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from analysis.curves import anchor_label
from analysis.decode_times import MAIN_STAGE
from analysis.pages import table as markdown_table
from analysis.report.data import ReportData
from analysis.report.savings_figures import against_one_anchor

_MISSING = "-"
Rows = list[list[str]]


def printed_table(data: ReportData, form: str) -> str:
    """The table of the first image set and the commonest codec settings.

    Args:
      form: one of `FORMS`.
    """
    heads, rows = _cells(data)
    return FORMS[form](heads, rows)


def _cells(data: ReportData) -> tuple[list[str], Rows]:
    points = data.frontier[data.frontier["state"] == "measured"]
    if data.datasets:
        points = points[points["dataset"] == data.datasets[0]["name"]]
    if data.codecs:
        points = points[points["codec"] == data.codecs[0]]
    models = points.drop_duplicates("curve_id").sort_values("kflops_per_px")
    compared, window, anchor = against_one_anchor(data)
    savings = compared.set_index("curve_id")["bd_rate_percent"]
    heads = ["model", "family", "kFLOPs/px", "parameters (M)"]
    if anchor is not None:
        low, high = window
        heads.append(
            f"BD-rate (%) against {anchor_label(anchor.name)}, "
            f"{low:.1f} to {high:.1f} dB"
        )
    heads += [f"decode, {device['name']} (ms)" for device in data.devices]
    rows = []
    for model in models.to_dict("records"):
        row = [model["label"], model["family"], _number(model["kflops_per_px"], 1)]
        row.append(_number(model["params_total"] / 1e6, 2))
        if anchor is not None:
            row.append(_number(savings.get(model["curve_id"]), 1))
        for device in data.devices:
            row.append(_number(model.get(f"decode_ms.{device['id']}.{MAIN_STAGE}"), 1))
        rows.append(row)
    return heads, rows


def _number(value: float | None, decimals: int) -> str:
    missing = value is None or pd.isna(value)
    return _MISSING if missing else f"{value:.{decimals}f}"


def _csv(heads: Sequence[str], rows: Rows) -> str:
    return pd.DataFrame(rows, columns=list(heads)).to_csv(
        index=False, lineterminator="\n"
    )


def _latex(heads: Sequence[str], rows: Rows) -> str:
    lines = [" & ".join(map(_escaped, row)) + r" \\" for row in [list(heads), *rows]]
    rules = [r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
    columns = "ll" + "r" * (len(heads) - 2)
    begin, end = rf"\begin{{tabular}}{{{columns}}}", r"\end{tabular}"
    return "\n".join([begin, *rules, end]) + "\n"


def _escaped(text: str) -> str:
    for character in "\\&%$#_{}":
        text = text.replace(character, "\\" + character)
    return text


FORMS: dict[str, Callable[[Sequence[str], Rows], str]] = {
    "csv": _csv,
    "latex": _latex,
    "markdown": lambda heads, rows: markdown_table([heads, *rows]) + "\n",
}
