"""`python -m analysis.proposals_page OUT`: writes docs/results/proposals.md.

How far predictions and proposals are to be trusted, asked of a finished sweep, or of
the folder of its records.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.backtest import (
    CHEAPEST,
    ORDERS,
    PROPOSED,
    RANDOM,
    TOGETHER,
    backtest,
    left_out,
)
from analysis.gather import gather
from analysis.known import Known, known_of
from analysis.latency_model import latency_models
from analysis.learning_fit import compute_fits, learning_fits
from analysis.models_page.learning import learning_curves
from analysis.pages import number, run, table
from analysis.tables import CODEC_SETTINGS
from rdc.errors import DataError
from rdc.system.files import write_bytes_atomically

PAGE = Path(__file__).parents[1] / "docs/results/proposals.md"
SEEDS = 200
Lines = list[Sequence[str]]
TEMPLATE = """\
# What to train next: how far proposals are to be trusted

    python -m analysis.proposals_page {out}

{models} models of {architectures} architectures on {dataset}, {rates} rates each.
How proposals are made: [docs/sweeps.md](../sweeps.md#what-to-train-next).

## Half of the trainings

A quarter of the architectures is taken at random as trained, the same for every order;
{seeds} such starts. Each order then goes on to half of them. Of the whole study's: the
hypervolume over the logarithms of decoder cost and RD loss, up to a tenth beyond the
frontier's worst in each, mean over the rates; the points on the frontier; the sum of
the decoders' cost, to which that of trainings is roughly proportional. Means, and
between which 8 of 10 starts lie.

{orders}

The paired differences, with twice their standard error over the starts:

{verdict}

Proposals go for the hypervolume, and not for the number of points on the frontier.

All of this is one study: intervals are over starts, and say nothing of another grid,
recipe or length of training. The published table of Minnen & Johnston 2023 has
seven architectures, too few to hide half of them.

## Predicted RD losses

Each architecture predicted from all others, error of the RD loss and how many measured
losses lie inside the interval that 8 of 10 should:

{losses}

## Decode times

{latency}

## RD loss over steps

{learning}

## RD loss over decoder cost

{compute}
"""
LATENCY_COLUMNS = ("device", "family", "architectures", "median error", "worst")
LEARNING_COLUMNS = ("run", "family", "limit", "exponent", "loss at twice the steps")
COMPUTE_COLUMNS = ("family", "lambda", "models", "limit", "exponent", "why not")
NAMES = {
    PROPOSED: "proposals, one after the other",
    TOGETHER: "proposals, all at once",
    RANDOM: "random order",
    CHEAPEST: "the cheapest first",
}
UNDETERMINED = """
Where it is not, neither a limit nor a longer training is predicted. A learning rate
that falls towards the end bends the curves down: over one length of training, that and
a small exponent look alike. Trainings of several lengths would tell."""
# Of tests/unit/analysis/test_latency_model.py, which repeats them.
PUBLISHED = """\
The seven decoders of the study, their published A100 times (Minnen & Johnston 2023,
table 1) against what is counted of them here (`test_latency_model.py`): with its family
left out, a decoder's time is off by 28 to 74 %, and 8 of 10 lie within a factor of 3.8.
So few cannot tell what a slice costs that only one family has: time some of each family
before a frontier over `decode_ms` is proposed for."""


def write_page(out: Path, path: Path = PAGE, seeds: int = SEEDS) -> Path:
    """Gathers the records of OUT, and writes their page.

    Raises:
      DataError: nothing, or too little, was evaluated.
    """
    tables = gather(out)
    known = _known(tables)
    dataset = tables["frontier"]["dataset"].mode().iloc[0]
    shares = backtest(known, seeds)
    text = TEMPLATE.format(
        out=_shown(out),
        models=tables["runs"]["run_id"].nunique(),
        architectures=known.points["arch_id"].nunique(),
        dataset=dataset,
        rates=known.points["lmbda"].nunique(),
        seeds=seeds,
        orders=_orders(shares),
        verdict=_verdict(shares),
        losses=_losses(left_out(known)),
        latency=f"{_latency(tables)}\n\n{PUBLISHED}",
        learning=_learning(_curves(out, tables), tables),
        compute=_compute(known),
    )
    write_bytes_atomically(path, text.encode())
    return path


def _shown(out: Path) -> Path:
    root = PAGE.parents[2]
    inside = out.resolve().is_relative_to(root)
    return out.resolve().relative_to(root) if inside else out


def _known(tables: dict[str, pd.DataFrame]) -> Known:
    measured = tables["frontier"].dropna(subset="rd_loss")
    keys = ["dataset", *CODEC_SETTINGS]
    if measured.empty:
        raise DataError("a page of proposals is about measured models", "none")
    dataset, *codec = measured.value_counts(keys).index[0]
    settings = dict(zip(CODEC_SETTINGS, codec, strict=True))
    return known_of(tables, dataset=dataset, codec=settings)


def _curves(out: Path, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    kept = out / "learning.csv"  # of a folder of records, which has no journals
    if kept.exists():
        return pd.read_csv(kept)
    return learning_curves(out, tables["runs"]["run_id"])


def _percent(values: pd.Series) -> str:
    low, high = 100 * np.percentile(values, [10, 90])
    return f"{100 * values.mean():.1f} % ({low:.0f} to {high:.0f})"


def _orders(shares: pd.DataFrame) -> str:
    lines: Lines = [("order", "hypervolume", "points of the frontier", "cost")]
    for order in ORDERS:
        own = shares[shares["order"] == order]
        cells = (_percent(own[name]) for name in ("hypervolume", "frontier", "cost"))
        lines.append((NAMES[order], *cells))
    return table(lines)


def _verdict(shares: pd.DataFrame) -> str:
    lines = []
    for measure, title in (
        ("hypervolume", "hypervolume"),
        ("frontier", "points of the frontier"),
    ):
        wide = shares.pivot(index="seed", columns="order", values=measure)
        for other in (RANDOM, CHEAPEST):
            more = wide[PROPOSED] - wide[other]
            mean, doubt = more.mean(), 1.96 * more.std() / np.sqrt(len(more))
            word = "better than" if mean > doubt else "worse than"
            word = "no better than" if abs(mean) <= doubt else word
            lines.append(
                f"- {title}: {NAMES[PROPOSED]}, are **{word} {NAMES[other]}**, "
                f"{100 * mean:+.1f} ± {100 * doubt:.1f} points; more in "
                f"{100 * (more > 1e-9).mean():.0f} % of the starts, less in "
                f"{100 * (more < -1e-9).mean():.0f} %."
            )
    return "\n".join(lines)


def _losses(errors: pd.DataFrame) -> str:
    lines: Lines = [("lambda", "median error", "worst", "inside the interval")]
    for lmbda, own in errors.groupby("lmbda"):
        percent = 100 * np.abs(np.expm1(own["error"]))
        inside = f"{own['is_inside'].sum()} of {len(own)}"
        cells = (f"{percent.median():.1f} %", f"{percent.max():,.0f} %", inside)
        lines.append((f"{lmbda:g}", *cells))
    return table(lines)


def _latency(tables: dict[str, pd.DataFrame]) -> str:
    models, refused = latency_models(tables)
    if not models and not refused:
        return "No decoder was timed in this folder."
    lines: Lines = [LATENCY_COLUMNS]
    for device, model in models.items():
        lines += [
            (
                str(device),
                row.family,
                str(row.architectures),
                f"{row.median_percent:.0f} %",
                f"{row.worst_percent:.0f} %",
            )
            for row in model.left_out.itertuples()
        ]
    factors = (
        f"{device}: 8 of 10 within a factor of {model.factor:.2f}."
        for device, model in models.items()
    )
    reasons = (f"{device}: {error}" for device, error in refused.items())
    parts = [f"Each family left out:\n\n{table(lines)}"] if models else []
    return "\n\n".join([*parts, *factors, *reasons])


def _learning(curves: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> str:
    if curves.empty:
        return "No learning curve was kept."
    fits = learning_fits(curves)
    families = tables["runs"].merge(tables["architectures"], on="arch_id")
    fits["family"] = fits["run_id"].map(families.set_index("run_id")["family"])
    found = fits[fits["reason"] == ""]
    text = (
        f"`limit + scale * steps^-exponent` is determined for {len(found)} of "
        f"{len(fits)} trainings."
    )
    if len(found) < len(fits):
        text += UNDETERMINED
    lines: Lines = [LEARNING_COLUMNS]
    for row in found.to_dict("records"):
        cells = (_interval(row, n) for n in ("limit", "exponent", "longer_loss"))
        lines.append((f"`{row['run_id'][:8]}`", row["family"], *cells))
    return "\n\n".join([text, table(lines)] if len(lines) > 1 else [text])


def _compute(known: Known) -> str:
    costs = known.architectures[["arch_id", "family", known.cost]]
    fits = compute_fits(known.points.merge(costs, on="arch_id"), known.cost)
    lines: Lines = [COMPUTE_COLUMNS]
    for family, own in fits.groupby("family"):
        for reason, rows in itertools.groupby(
            own.to_dict("records"), lambda row: row["reason"]
        ):
            alike = list(rows)
            rates = " ".join(f"{row['lmbda']:g}" for row in alike)
            if reason:
                models = str(alike[0]["models"])
                lines.append((str(family), rates, models, "-", "-", reason))
                continue
            lines += [
                (
                    str(family),
                    f"{row['lmbda']:g}",
                    str(row["models"]),
                    _interval(row, "limit"),
                    _interval(row, "exponent"),
                    "",
                )
                for row in alike
            ]
    return table(lines)


def _interval(row: dict[str, float], name: str) -> str:
    value, low, high = (number(row[f"{name}{e}"], ".3g") for e in ("", "_low", "_high"))
    return f"{value} ({low} to {high})"


if __name__ == "__main__":
    sys.exit(run("analysis.proposals_page", write_page, PAGE))
