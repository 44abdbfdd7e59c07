"""The text of the page: what was trained, what it gave, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.models_page.classes import AMORTISED, Classes
from analysis.models_page.classes import COSTS as COST_TITLES
from analysis.models_page.models import (
    ANCHORS,
    LEAST_RANGE_DB,
    LMBDA,
    ReferenceModels,
)
from analysis.pages import number, table

COSTS = (4.0, 10.0, 20.0, 45.0)  # kFLOPs/px at which families are compared
NEAR = 1.3  # an architecture is of a cost within this factor
NOT_MEASURED = "not measured"
COMMANDS = (
    ("command", "does"),
    (
        "`make reference`",
        "trains, evaluates, writes this page; goes on where it stopped",
    ),
    ("`make reference-page`", "evaluates what is trained so far, writes this page"),
    (
        "`make reference-times`",
        "times the decoders, on a machine that does nothing else",
    ),
    ("`make reference-overfitted`", "codecs overfitted to each image, beside them"),
    (
        "`python -m analysis.models_page out/reference`",
        "writes this page, its tables and pictures",
    ),
    (
        "`python -m analysis.references`",
        "`analysis/baselines/reference_models.csv`, which reports on Kodak read",
    ),
)
FILES = (
    ("file", "holds"),
    (
        "`models.csv`",
        "the table above, one row per model, ids and times included",
    ),
    (
        "`images_NAME.csv`",
        "every image of a set at every rate: rate, PSNR, MS-SSIM, times",
    ),
    ("`learning.csv`", "training losses, means over a hundredth of the steps"),
    (
        "`plan.parquet`, `*/*/*/record.json`",
        "the records: `python launch/report.py out=docs/results/reference_models` "
        "makes tables and report of them",
    ),
)
TEMPLATE = """\
# Reference models

{trained}.
This folder holds their records without weights, and what follows from them.

{commands}

{conditions}

## Which family is worth its cost

![Quality over decoder cost](frontier.png)

{noise}

{families}

## Models

RD loss: mean of bpp + {lmbda:g} MSE over the {images} images of {dataset}, at that
rate.
BD-rates (pchip, through means over the images) are over all PSNR that both curves have;
`own` is against {anchor}, over {common}.
Negative: less rate.

{models}

{failed}{times}

## Classes of codecs

![RD loss over costs, all classes](classes.png)

{classes}

## Curves

![PSNR over rate of models on the frontier](curves.png)

{classical}

## Learning

![Training loss over steps](learning.png)

## Files

{files}
"""


def page(models: ReferenceModels) -> str:
    """docs/results/reference_models/README.md."""
    first = models.points.iloc[0]
    common = models.common_range_db
    anchor = models.models.set_index("run_id").loc[models.anchor]
    return TEMPLATE.format(
        trained=_trained(models),
        commands=table(COMMANDS),
        files=table(FILES),
        conditions=_conditions(models),
        noise=_noise(models),
        families=_families(models),
        lmbda=LMBDA,
        images=f"{first['images']:.0f}",
        dataset=models.dataset,
        anchor=f"{anchor['family']} {anchor['sizes']}",
        common=f"the {common[0]:.1f}-{common[1]:.1f} dB that all models reach"
        if common
        else f"what both have: all models share less than {LEAST_RANGE_DB:g} dB",
        models=_models(models),
        failed=_failed(models),
        times=_times(models),
        classes=_classes(models),
        classical=_classical(models),
    )


def _failed(models: ReferenceModels) -> str:
    """What is in no picture; empty where nothing failed."""
    rows = models.models[models.models["run_id"].isin(models.failed)]
    if rows.empty:
        return ""
    named = ", ".join(
        f"{row.family} {row.sizes} (seed {row.seed})" for row in rows.itertuples()
    )
    return (
        "Failed, with a PSNR at all rates below the lowest of `own`, and in no "
        f"picture: {named}.\n\n"
    )


def _trained(models: ReferenceModels) -> str:
    runs = models.data.tables["runs"]
    done = models.models
    families = done["family"].nunique()
    text = (
        f"{done['arch_id'].nunique()} architectures of {families} families, "
        f"{len(done)} models"
    )
    if len(done) < len(runs):
        text += f" of the {len(runs)} planned (the others are not trained yet)"
    return text


def _conditions(models: ReferenceModels) -> str:
    done = models.models
    commits = sorted(done["git_sha"].dropna().unique())
    seconds = done["train_seconds"].sum()
    hardware = models.data.tables["hardware"]
    machines = " and ".join(sorted(hardware["host_cpu"].dropna().unique()))
    parts = [
        f"Trained for {_range(done['steps'], ',.0f')} steps of "
        f"{_range(done['batch_size'], '.0f')} crops of "
        f"{_range(done['crop_px'], '.0f')} px, {seconds / 3600:,.1f} hours in all, "
        f"on {machines or 'an unknown machine'};",
        f"coded with {models.codec}. Commits: {', '.join(commits) or 'unknown'}.",
    ]
    differing = done[done["differs_in"].fillna("") != ""]
    if len(differing):
        what = sorted(set(", ".join(differing["differs_in"]).split(", ")))
        parts.append(f"{len(differing)} models differ from most in {', '.join(what)}.")
    return "\n".join(parts)


def _noise(models: ReferenceModels) -> str:
    pairs = models.seeds.pairs
    if pairs.empty:
        return "No architecture was trained with two seeds: the noise is unknown."
    lines = [
        ("architecture", "kFLOPs/px", "BD-rate", "RD loss"),
        *(
            (
                f"{row.family} {row.sizes}",
                f"{row.kflops_per_px:.1f}",
                _percent(row.bd_percent),
                _percent(row.loss_percent),
            )
            for row in pairs.itertuples()
        ),
    ]
    limit = models.seeds.told_apart_percent
    verdict = (
        f"Two models that differ by less than {limit:.1f} % of rate (twice the "
        "standard deviation of a difference) are not told apart here."
        if np.isfinite(limit)
        else "They have no BD-rates yet: what is told apart is unknown."
    )
    return (
        "The second seed against the first, the same architecture and recipe:\n\n"
        f"{table(lines)}\n\n{verdict}"
    )


def _families(models: ReferenceModels) -> str:
    """At each cost, every family's best architecture, in order."""
    best_models = models.architectures.dropna(subset=[models.quality])
    lines: list[Sequence[str]] = [("about", "families from best to worst")]
    for cost in COSTS:
        near = best_models["kflops_per_px"].between(cost / NEAR, cost * NEAR)
        best = best_models[near].sort_values(models.quality).drop_duplicates("family")
        if len(best):
            lines.append((f"{cost:g} kFLOPs/px", _order(models, best)))
    if len(lines) == 1:
        return "No model is near a cost at which families are compared."
    unit = (
        "BD-rate against the own anchor"
        if models.quality == "bd.own"
        else f"RD loss at lambda {LMBDA:g}"
    )
    return (
        f"Families at equal cost ({unit}; within a factor of {NEAR:g}; ~ where the "
        f"difference to the one before is noise):\n\n{table(lines)}"
    )


def _order(models: ReferenceModels, best: pd.DataFrame) -> str:
    percent = models.quality == "bd.own"
    limit = models.seeds.told_apart_percent if percent else np.nan
    text, before = "", None
    for family, value in zip(best["family"], best[models.quality], strict=True):
        if before is not None:
            text += " ~ " if value - before < limit else ", "
        text += f"{family} ({_percent(value) if percent else f'{value:.3f}'})"
        before = value
    return text


def _models(models: ReferenceModels) -> str:
    shown = models.models
    lines: list[Sequence[str]] = [
        (
            *("family", "widths", "seed", "kFLOPs/px", "M params", "RD loss"),
            *ANCHORS,
            *("own", "PSNR range of WebP, dB"),
        )
    ]
    for row in shown.to_dict("records"):
        name = f"**{row['name']}** " if isinstance(row["name"], str) else ""
        ranged = row["range.WebP"]
        lines.append(
            (
                name + row["family"],
                row["sizes"],
                f"{row['seed']:.0f}",
                f"{row['kflops_per_px']:.1f}",
                f"{row['params_total'] / 1e6:.2f}",
                number(row["rd_loss"], ".3f"),
                *(_percent(row[f"bd.{anchor}"]) for anchor in ANCHORS),
                _percent(row["bd.own"]),
                ranged if isinstance(ranged, str) else "-",
            )
        )
    return table(lines)


def _times(models: ReferenceModels) -> str:
    devices = models.data.devices
    if not devices:
        return f"Decode times: {NOT_MEASURED}."
    device = devices[0]
    columns = [f"decode_ms.{device['id']}.{stage}" for stage in device["stages"]]
    lines: list[Sequence[str]] = [
        ("architecture", "kFLOPs/px", *(f"{stage}, ms" for stage in device["stages"]))
    ]
    for row in models.models.drop_duplicates("arch_id").to_dict("records"):
        times = (number(row[column], ".0f") for column in columns)
        label = f"{row['family']} {row['sizes']}"
        lines.append((label, f"{row['kflops_per_px']:.1f}", *times))
    return (
        f"Decode times on {device['name']} ({device['conditions']}), medians:\n\n"
        f"{table(lines)}"
    )


def _classes(models: ReferenceModels) -> str:
    """Where each class wins: what is on a frontier over all of them."""
    codecs = Classes.of(models).shown
    if (codecs["codec_class"] == AMORTISED).all():
        return f"Codecs without a model on these images: {NOT_MEASURED}."
    lines: list[Sequence[str]] = [("codec", "class", "RD loss", *COST_TITLES.values())]
    for row in codecs.to_dict("records"):
        costs = (
            number(row[cost], ",.0f" if row[cost] >= 100 else ".1f")
            + (" *" if row[f"frontier.{cost}"] else "")
            for cost in COST_TITLES
        )
        name, loss = row["label"], f"{row['rd_loss']:.3f}"
        lines.append((str(name), str(row["codec_class"]), loss, *costs))
    return (
        f"RD loss at lambda {LMBDA:g}; times are of one call per image, files read and "
        "written in memory, beside whatever else the machine did; those of overfitted "
        "codecs hold the compilation. Models are here where they are on a frontier (*: "
        "no codec of any class is better in both that cost and the RD loss).\n\n"
        f"{table(lines)}"
    )


def _classical(models: ReferenceModels) -> str:
    losses = models.classical_losses
    if not losses:
        return f"Classical codecs on these images: {NOT_MEASURED}."
    listed = ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
    return (
        f"RD loss at lambda {LMBDA:g} of classical codecs, each at its best setting: "
        f"{listed}."
    )


def _range(values: pd.Series, form: str) -> str:
    low, high = values.min(), values.max()
    return f"{low:{form}}" if low == high else f"{low:{form}} to {high:{form}}"


def _percent(value: float) -> str:
    return number(value, "+.1f", " %")
