"""`python -m analysis.evc_page OUT`: writes docs/results/evc.md.

OUT is that of a sweep of `+grid=evc_mini`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd

from analysis.gather import gather
from analysis.pages import run, table
from analysis.paired import Difference, difference, losses_by_label, told_of
from rdc.errors import DataError
from rdc.system.files import write_bytes_atomically

PAGE = Path(__file__).parents[1] / "docs/results/evc.md"
TEACHER = "teacher"
TEMPLATE = """\
# EVC's claims at the size of two CPU cores

{finished} of the {models} trainings of the grid `evc_mini`, on {images} images of
{dataset}: tiny models of EVC's components, {steps} steps each where no others are
named. What decides is RD loss, bpp + lambda MSE from the bytes of whole files, at four
lambdas; a difference is the mean logarithm of the ratio over rates, images and seeds.
In brackets, 95 % of 4000 draws of seeds and images. Trainings of one seed share teacher
and crops, so that differences are paired.

{coded}

**Small models and short trainings: an effect that does not show here may show at EVC's
size, and the reverse.**

`python launch/sweep.py +grid=evc_mini data.train=TRAIN data.eval=KODAK
'stages=[plan,complexity,train,evaluate,gather]' out=OUT`, then
`python -m analysis.evc_page OUT`

## The claims

{claims}

## Every model against its teacher

Positive: worse than the teacher, large on both sides. Whatever came out of the teacher
had its steps and as many more: a teacher that went on for as long is not in this grid,
so a minus here is no gain by being small. Costs in kFLOPs/px of the networks; those of
several encoders count every candidate, which is coded and decoded before one is chosen.

{table}
"""

_BOTH_SMALL, _SMALL_ENCODER, _SMALL_DECODER = "s-s", "s-l", "l-s"
_LONGER = "scratch, twice the steps"
# (claim, the better one by it, the other one), of the names that `_label` gives.
_CLAIMS = (
    *(
        (
            f"mask decay beats scratch in its own steps, {pair}",
            f"{pair} decayed",
            f"{pair} scratch",
        )
        for pair in (_BOTH_SMALL, _SMALL_ENCODER, _SMALL_DECODER)
    ),
    *(
        (
            f"mask decay beats scratch in steps of teacher and student, {pair}",
            f"{pair} decayed",
            f"{pair} {_LONGER}",
        )
        for pair in (_BOTH_SMALL, _SMALL_ENCODER, _SMALL_DECODER)
    ),
    (
        "mask decay beats scratch, and then again from there, s-s",
        "s-s decayed",
        "s-s scratch, then again",
    ),
    ("a small encoder costs less than a small decoder", "s-l decayed", "l-s decayed"),
    ("a second encoder helps", "2 encoders", "1 encoder"),
    ("a third encoder helps more", "3 encoders", "2 encoders"),
    ("three small encoders, of more steps, beat one large one", "3 encoders", TEACHER),
)


def write_page(out: Path, path: Path = PAGE) -> Path:
    """Gathers the records of OUT, and writes their page.

    Raises:
      DataError: no student and its teacher were evaluated.
    """
    write_bytes_atomically(path, page(gather(out)).encode())
    return path


def page(tables: dict[str, pd.DataFrame]) -> str:
    """The text; raises as `write_page`."""
    runs = tables["runs"].merge(tables["architectures"])
    runs = runs.assign(label=_labels(runs))
    by_label = losses_by_label(runs, tables)
    if len(by_label.keys() - {TEACHER}) == 0 or TEACHER not in by_label:
        raise DataError(
            "students and their teachers were trained and evaluated",
            ", ".join(by_label) or "none",
        )
    return TEMPLATE.format(
        **told_of(tables),
        claims=_claims(by_label),
        table=_table(runs, by_label),
    )


def _labels(runs: pd.DataFrame) -> list[str]:
    configs = runs["config_json"].map(json.loads)
    recipes = runs["recipe_json"].map(json.loads)
    largest = max(
        tuple(config["transform"][side])
        for config in configs
        for side in ("encoder_channels", "decoder_channels")
    )
    least = min(recipe["steps"] for recipe in recipes)
    return [
        _label(config, recipe, start, largest, least)
        for config, recipe, start in zip(
            configs, recipes, runs["init_from"], strict=True
        )
    ]


def _label(
    config: dict, recipe: dict, start: object, largest: tuple, least: int
) -> str:
    if recipe.get("trained") == "encoder":
        encoders = config.get("encoders", 1)
        return f"{encoders} encoder" + ("s" if encoders > 1 else "")
    sides = [
        "l" if tuple(config["transform"][side]) == largest else "s"
        for side in ("encoder_channels", "decoder_channels")
    ]
    pair = "-".join(sides)
    if recipe.get("method") == "mask_decay":
        return f"{pair} decayed"
    if not pd.isna(start):
        return f"{pair} scratch, then again"
    if pair == "l-l":
        return TEACHER
    return f"{pair} scratch" + (", twice the steps" if recipe["steps"] > least else "")


def _claims(by_label: dict[str, pd.DataFrame]) -> str:
    lines = [("claim", "difference", "seeds", "here")]
    for claim, better, other in _CLAIMS:
        if better in by_label and other in by_label:
            found = difference(by_label[better], by_label[other])
            lines.append((claim, found.shown, str(found.seeds), _verdict(found)))
        else:
            lines.append((claim, "-", "0", "not measured"))
    return table(lines)


def _verdict(found: Difference) -> str:
    if not found.is_sure:
        return "does not show"
    return "holds" if found.percent < 0 else "the reverse"


def _table(runs: pd.DataFrame, by_label: dict[str, pd.DataFrame]) -> str:
    lines = [("encoder-decoder", "against the teacher", "seeds", "to encode", "decode")]
    for label, rows in runs.groupby("label", sort=False):
        row = rows.iloc[0]
        costs = f"{2 * row['kmacs_per_px_encode']:.1f}", f"{row['kflops_per_px']:.1f}"
        if label == TEACHER or label not in by_label:
            seeds = len(by_label.get(str(label), ()))
            shown = "-"
        else:
            found = difference(by_label[str(label)], by_label[TEACHER])
            seeds, shown = found.seeds, found.shown
        lines.append((str(label), shown, str(seeds), *costs))
    return table(lines)


def main(arguments: list[str] | None = None) -> int:
    return run("analysis.evc_page", write_page, PAGE, arguments)


if __name__ == "__main__":
    sys.exit(main())
