"""`python -m analysis.robustness_page FILE`: writes docs/results/robustness.md.

FILE is what `rdc inflate` wrote.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.pages import number, run, table
from analysis.report.style import MARKERS, family_styles
from rdc.errors import DataError
from rdc.system.files import write_bytes_atomically

PAGE = Path(__file__).parents[1] / "docs/results/robustness.md"
TEMPLATE = """\
# Photographs made to cost more bytes

![Bytes added over the strength of the attack]({picture})

{summary}

{photographs} labelled photographs, drawn by their names' hashes; each pixel's values
may change by as many levels of 255 as stated. **gradient**: {steps} steps of projected
gradient ascent on the bits that the target itself expects. **through**: the same of
another codec, for targets that have no gradient, and so perhaps not the worst there is.
**noise**: every value moved by that much, up or down by chance: the control. Bytes are
those of whole streams and files. A student is attacked on photographs that neither it
nor its teacher saw; right: the server's answers from these bytes.

`rdc inflate PHOTOGRAPHS FILE --sweep OUT`, then
`python -m analysis.robustness_page FILE`

{results}

Increase: of the mean bytes; most: of a single photograph. For comparison, EntropyR
reports up to +95 % of transmitted bytes (Zhang, Abdi, Rifat and Restuccia, "Resilience
of Entropy Model in Distributed Neural Networks", ECCV 2024,
[arXiv 2403.00942](https://arxiv.org/abs/2403.00942)) for other networks, photographs
and attacks: it says how far such a thing can go, and ranks nothing here.
"""

_POINT = ["target", "setting", "attack", "eps_255"]
_LINES = {"gradient": "-", "noise": ":"}  # other attacks are of other codecs


def write_page(file: Path, path: Path = PAGE) -> Path:
    """Writes the page of FILE and its picture beside it.

    Raises:
      DataError: no rows there, or other ones.
    """
    try:
        rows = pd.read_csv(file, dtype={"right_before": object, "right_after": object})
        found = points(rows)
    except (ValueError, KeyError) as error:
        raise DataError(
            "the page is made of a file that `rdc inflate` wrote", f"{file} ({error})"
        ) from error
    if found.empty:
        raise DataError("a file of attacks has rows", f"none in {file}")
    image = io.BytesIO()
    picture(found).savefig(image, format="png")
    beside = path.with_suffix(".png")
    write_bytes_atomically(beside, image.getvalue())
    write_bytes_atomically(path, page(rows, found, beside.name).encode())
    return path


def points(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of photographs -> one for each target, setting, attack and strength.

    Seeds are averaged. Shares of right answers are null where no task follows.
    """
    rows = rows.assign(
        increase=rows["bytes_after"] / rows["bytes_before"] - 1,
        **{side: _share(rows[side]) for side in ("right_before", "right_after")},
    )
    found = rows.groupby(_POINT, sort=False).agg(
        seeds=("seed", "nunique"),
        photographs=("photograph", "nunique"),
        bytes_before=("bytes_before", "mean"),
        bytes_after=("bytes_after", "mean"),
        most=("increase", "max"),
        right_before=("right_before", "mean"),
        right_after=("right_after", "mean"),
    )
    found["increase"] = found["bytes_after"] / found["bytes_before"] - 1
    return found.reset_index()


def _share(right: pd.Series) -> pd.Series:
    return right.map({"True": 1.0, "False": 0.0})


def page(rows: pd.DataFrame, found: pd.DataFrame, picture: str) -> str:
    """The text."""
    steps = sorted(rows["steps"].unique())
    return TEMPLATE.format(
        picture=picture,
        summary=_summary(found),
        photographs=rows["photograph"].nunique(),
        steps=" or ".join(map(str, steps)),
        results=_results(found),
    )


def _summary(found: pd.DataFrame) -> str:
    """The strongest attack on each target, and its control."""
    level = found["eps_255"].max()
    lines = []
    for (target, setting), own in found[found["eps_255"] == level].groupby(
        ["target", "setting"], sort=False
    ):
        told = (f"{row.attack} {_percent(row.increase)}" for row in own.itertuples())
        lines.append(f"- {target} {setting}: {', '.join(told)}")
    return "\n".join([f"Bytes added at {level} levels, in the mean:", "", *lines])


def _percent(share: float) -> str:
    return f"{round(100 * share, 1) + 0:+.1f} %"  # + 0: no minus before a zero


def _results(found: pd.DataFrame) -> str:
    head = (
        *("target", "setting", "seeds", "photographs", "attack", "levels"),
        *("bytes before", "after", "increase", "most", "right before", "after"),
    )
    lines: list[tuple[str, ...]] = [head]
    for _, row in found.iterrows():
        lines.append(
            (
                *(row["target"], row["setting"], str(row["seeds"])),
                *(str(row["photographs"]), row["attack"], str(row["eps_255"])),
                *(f"{row[side]:,.0f}" for side in ("bytes_before", "bytes_after")),
                *(_percent(row[name]) for name in ("increase", "most")),
                number(100 * row["right_before"], ".0f", " %"),
                number(100 * row["right_after"], ".0f", " %"),
            )
        )
    if found["right_before"].isna().all():
        lines.append(("student", *["-"] * 7, "not measured yet", *["-"] * 3))
    return table(lines)


def picture(found: pd.DataFrame) -> Figure:
    """Increase over strength, a line for each target, setting and attack."""
    figure = Figure(figsize=(8.5, 4.6), dpi=130, layout="constrained")
    axes = figure.subplots()
    titles = found["target"] + " " + found["setting"]
    styles = {style.family: style for style in family_styles(titles.unique())}
    for (title, attack), own in found.groupby([titles, "attack"], sort=False):
        style = styles[title]
        axes.plot(
            own["eps_255"],
            100 * own["increase"],
            marker=MARKERS[style.marker],
            color=style.colour,
            linestyle=_LINES.get(attack, "--"),
            markersize=4,
            linewidth=1.2,
            label=f"{title}, {attack}",
        )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(
        xlabel="levels of 255 by which values may change", ylabel="bytes added (%)"
    )
    axes.set_xticks(sorted(found["eps_255"].unique()))
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figure


def main(arguments: list[str] | None = None) -> int:
    return run(
        "analysis.robustness_page",
        write_page,
        PAGE,
        arguments,
        file="CSV of `rdc inflate`",
    )


if __name__ == "__main__":
    sys.exit(main())
