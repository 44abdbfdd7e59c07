"""`python -m analysis.tasks_page OUT`: writes docs/results/sc2.md and its picture.

OUT is that of a sweep of `+grid=sc2_mini`.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pandas as pd

from analysis.gather import gather
from analysis.pages import number, run, table
from analysis.report.tasks_figure import tasks_figure
from analysis.tables import LOCAL, REMOTE
from analysis.task_curves import (
    MEASURES,
    Curve,
    TaskDifference,
    curves,
    difference,
)
from analysis.task_methods import task_methods
from analysis.task_verdicts import EXPLAINED, told_of
from rdc.errors import DataError
from rdc.system.files import write_bytes_atomically

PAGE = Path(__file__).parents[1] / "docs/results/sc2.md"
TEMPLATE = """\
# A task behind the codec: SC2 at the size of two CPU cores

![Accuracy, agreement and divergence over bytes]({picture})

{photographs} labelled photographs of {dataset}, {folds} folds: each is encoded into
real bytes, sent through a container, and answered by a network that never saw it. Seeds
of what is trained: {seeds}. **SC2-mini: a narrow teacher trained from scratch on some
hundred photographs. Nothing here stands beside numbers of ImageNet.** The photographs
are JPEG files of quality 90 already, which flatters JPEG.

`python launch/sweep.py +grid=sc2_mini split.photographs=PHOTOGRAPHS data.train=TRAIN
'stages=[plan,train,evaluate,gather]' out=OUT`, then `python -m analysis.tasks_page OUT`

The teacher itself answers {teacher} right (remote: it is sent {remote} as they are;
local: the device holds all of it and sends none).

## When a codec, when a student, when the device itself

{explained}

{verdicts}

## At equal bytes

Mean difference over all sizes that both methods have, photograph by photograph and seed
by seed; in brackets, 95 % of 4000 draws of seeds and photographs. Right answers and
agreement with the teacher in percentage points, divergence from it in nats (less is
better). Bold where the interval leaves no doubt which one is better.

{claims}

## Every method and setting

Encoder: what runs on the device, its parameters in bits and its multiply-accumulates;
a dash where a method has no such thing or nobody counted it. ExR: encoder bits times
bytes. Coded over estimated: whole streams over the prior's bits and their containers.

{results}
"""

# (claim of the paper, the better one by it, the other one): how labels begin.
_CLAIMS = (
    ("the student beats JPEG of the photograph", "student", "jpeg"),
    ("the student beats WebP of the photograph", "student", "webp"),
    ("the student beats AVIF of the photograph", "student", "avif"),
    ("the student beats a learned codec", "student", "light"),
    (
        "the student beats end-to-end training",
        "student",
        "end_to_end",
    ),
    ("the student beats CR+BQ", "student", "reduction"),
    (
        "the student beats JPEG of features",
        "student",
        "features_jpeg stage=1",
    ),
    (
        "a mean-scale prior beats the factorised one",
        "student_mshp",
        "student",
    ),
    (
        "a prior on the teacher's stage 1 beats the student",
        "placement stage=1",
        "student",
    ),
    ("a learned codec beats JPEG of the photograph", "light", "jpeg"),
    ("a learned codec beats AVIF of the photograph", "light", "avif"),
)
_SIGNS = dict(zip(MEASURES, (1, 1, -1), strict=True))
_BY = {"right": "", "agrees": ", by agreement", "kl_nats": ", by divergence alone"}


def write_page(out: Path, path: Path = PAGE) -> Path:
    """Gathers the records of OUT, writes their page and its picture beside it.

    Raises:
      DataError: no method of a task was measured.
    """
    tables = gather(out)
    results = tables["task_results"]
    methods = results[~results["method"].isin([REMOTE, LOCAL])]
    if methods.empty:
        raise DataError(
            "methods of a task were measured",
            f"none in {out}",
            "run a sweep with split.methods",
        )
    image = io.BytesIO()
    tasks_figure(results).savefig(image, format="png")
    beside = path.with_suffix(".png")
    write_bytes_atomically(beside, image.getvalue())
    text = page(tables["task_answers"], results, beside.name)
    write_bytes_atomically(path, text.encode())
    return path


def page(answers: pd.DataFrame, results: pd.DataFrame, picture: str) -> str:
    """The text."""
    remote = results[results["method"] == REMOTE].iloc[0]
    methods = results[~results["method"].isin([REMOTE, LOCAL])]
    seeds = methods.groupby("method")["seed"].nunique().max()
    return TEMPLATE.format(
        picture=picture,
        photographs=remote["image_count"],
        dataset=remote["dataset"],
        folds=answers["fold"].nunique(),
        seeds=seeds,
        teacher=f"{100 * remote['metric']:.1f} % (+- {100 * remote['se']:.1f})",
        remote=f"files of {remote['bytes_per_datum'] / 1000:.1f} kB",
        explained=EXPLAINED,
        verdicts="\n".join(f"- {line}" for line in told_of(task_methods(answers))),
        claims=_claims(curves(answers)),
        results=_results(results),
    )


def _claims(found: dict[str, dict[int, Curve]]) -> str:
    lines: list[tuple[str, ...]] = [
        ("claim", "right answers", "agreement", "divergence", "over", "seeds", "here")
    ]
    for claim, better, other in _CLAIMS:
        differences = (
            {name: difference(found[better], found[other], name) for name in MEASURES}
            if better in found and other in found
            else dict.fromkeys(MEASURES)
        )
        known = {name: d for name, d in differences.items() if d is not None}
        if not known:
            lines.append((claim, *["-"] * 5, "not measured, or no common bytes"))
            continue
        one = known["right"]
        lines.append(
            (
                claim,
                *(_shown(known[name], name) for name in MEASURES),
                f"{one.least_bytes:.0f}-{one.most_bytes:.0f} B",
                str(one.seeds),
                _verdict(known),
            )
        )
    return table(lines)


def _shown(found: TaskDifference, measure: str) -> str:
    scale, form = (1, "+.3f") if measure == "kl_nats" else (100, "+.1f")
    value, low, high = (
        f"{scale * v:{form}}" for v in (found.value, found.low, found.high)
    )
    text = f"{value} ({low} to {high})"
    return f"**{text}**" if found.is_sure else text


def _verdict(known: dict[str, TaskDifference]) -> str:
    """By right answers; where these do not tell, by what is finer."""
    for name, found in known.items():
        if found.is_sure:
            holds = found.value * _SIGNS[name] > 0
            return ("holds" if holds else "the reverse") + _BY[name]
    return "does not show"


def _results(results: pd.DataFrame) -> str:
    head = (
        *("method", "setting", "seed", "photographs", "bytes", "right", "agreement"),
        *("divergence", "encoder kbit", "encoder kMAC/px", "server kMAC/px"),
        *("ExR, Gbit B", "coded over estimated"),
    )
    lines: list[tuple[str, ...]] = [head]
    for _, row in results.iterrows():
        lines.append(
            (
                *(row["method"], row["setting"], str(row["seed"])),
                str(row["image_count"]),
                number(row["bytes_per_datum"], ",.0f"),
                f"{100 * row['metric']:.1f} %",
                f"{100 * row['teacher_agreement']:.1f} %",
                f"{row['kl']:.3f}",
                number(row["encoder_bits"] / 1000, ",.0f"),
                number(row["encoder_kmacs_per_px"], ".2f"),
                number(row["tail_kmacs_per_px"], ".2f"),
                number(row["exr"] / 1e9, ",.2f"),
                number(100 * row["coded_over_estimated"], "+.2f", " %"),
            )
        )
    return table(lines)


def main(arguments: list[str] | None = None) -> int:
    return run("analysis.tasks_page", write_page, PAGE, arguments)


if __name__ == "__main__":
    sys.exit(main())
