"""Tables of docs/results/recipes.md from the rows of the study."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.recipes.variants import FINALISTS, SCREENED, SEEDS

Row = dict[str, Any]


def screening(rows: list[Row]) -> list[str]:
    """Every variant on the conv architecture, seed 0."""
    found = {
        (row["variant"], row["ema"]): row
        for row in rows
        if row["architecture"] == "conv" and row["seed"] == 0
    }
    base = found["base", "0"]["rd_loss"]
    lines = [
        "| variant | steps | steps/s | bpp | mse_255 | RD loss | against base "
        "| with EMA 0.99 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    variants = sorted(
        {variant for variant, _ in found},
        key=lambda variant: found[variant, "0"]["rd_loss"],
    )
    for variant in variants:
        row, mean = found[variant, "0"], found.get((variant, "0.99"))
        average = "-" if mean is None else f"{mean['rd_loss']:.3f}"
        lines.append(
            f"| {variant} | {row['steps']} | {row['steps_per_second']:.1f} "
            f"| {row['bpp']:.3f} | {row['mse_255']:.1f} | {row['rd_loss']:.3f} "
            f"| {100 * (row['rd_loss'] / base - 1):+.1f} % | {average} |"
        )
    missing = [variant for variant in SCREENED if (variant, "0") not in found]
    if missing:
        lines += ["", f"Not measured: {', '.join(missing)}."]
    return lines


def finalists(rows: list[Row]) -> list[str]:
    """RD loss and steps of every family and seed, and the difference from the base."""
    found = {
        (row["architecture"], row["variant"], row["seed"]): row["rd_loss"]
        for row in rows
        if row["ema"] == "0"
    }
    steps = {
        (row["architecture"], row["variant"], row["seed"]): row["steps"] for row in rows
    }
    lines = [
        f"| family | variant | {' | '.join(f'seed {s}' for s in SEEDS)} "
        "| against base, per seed | mean |",
        "| --- | --- |" + " --- |" * (len(SEEDS) + 2),
    ]
    for architecture in ("conv", "elic", "swint"):
        for variant in FINALISTS:
            values = {
                seed: found[architecture, variant, seed]
                for seed in SEEDS
                if (architecture, variant, seed) in found
            }
            changes = [
                100 * (value / found[architecture, FINALISTS[0], seed] - 1)
                for seed, value in values.items()
                if (architecture, FINALISTS[0], seed) in found
            ]
            cells = [
                f"{values[s]:.3f} ({steps[architecture, variant, s]})"
                if s in values
                else "-"
                for s in SEEDS
            ]
            each = ", ".join(f"{change:+.1f}" for change in changes)
            mean = f"{sum(changes) / len(changes):+.1f} %" if changes else "-"
            lines.append(
                f"| {architecture} | {variant} | {' | '.join(cells)} "
                f"| {each} | {mean} |"
            )
    return lines
