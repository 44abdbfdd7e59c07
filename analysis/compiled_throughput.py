"""`python -m analysis.compiled_throughput OUT`: how fast compilers expect training.

OUT is that of `+grid=compiled_steps`. Prints, per device, FLOP/s by family for
conf/throughput, and how well a family's speed predicts a step that it was not derived
from.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from analysis.gather import gather
from analysis.pages import table
from rdc.errors import DataError

# As `sweeps.plan.Run.training_flops`: backward costs twice forward, 2 per MAC.
_FLOPS_PER_MAC = 3 * 2


def compiled_steps(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per architecture and device whose step compiles.

    Returns:
      `arch_id`, `name`, `family`, `device_kind`, `step_ms`, `gflops` of a step as plans
      count them, and `gflops_per_second`.

    Raises:
      DataError: there is none.
    """
    steps = tables["training_estimates"]
    # Some of those need a little more than the memory on the data sheet.
    steps = steps[steps["step_ms"].notna()]
    if steps.empty:
        raise DataError(
            "throughputs derive from training steps that compile",
            "none in this OUT",
            "launch/sweep.py +grid=compiled_steps hardware=tpu_v5e "
            "'benchmark.estimates=[training_step]'",
        )
    # Training runs every component once, also those that are on both sides.
    parts = tables["complexity"].drop_duplicates(["arch_id", "component"])
    macs = parts.groupby("arch_id")["macs_per_px"].sum()
    pixels = steps["batch_size"] * steps["crop_px"] ** 2
    gflops = _FLOPS_PER_MAC * steps["arch_id"].map(macs) * pixels / 1e9
    named = tables["architectures"].set_index("arch_id")[["name", "family"]]
    rows = steps.assign(
        gflops=gflops, gflops_per_second=1e3 * gflops / steps["step_ms"]
    )
    return rows.join(named, on="arch_id")[
        [
            *("arch_id", "name", "family", "device_kind", "step_ms", "gflops"),
            "gflops_per_second",
        ]
    ]


def by_family(steps: pd.DataFrame) -> pd.Series:
    """GFLOP/s of all steps of a family together."""
    sums = steps.groupby("family")[["gflops", "step_ms"]].sum()
    return 1e3 * sums["gflops"] / sums["step_ms"]


def of_all(steps: pd.DataFrame) -> float:
    """GFLOP/s of families that were not compiled: all families weigh the same."""
    return float(len(by_family(steps)) / (1 / by_family(steps)).sum())


def left_out(steps: pd.DataFrame) -> pd.DataFrame:
    """Each step of one device, predicted from the others.

    Returns:
      The steps with `predicted_ms`, from the others of its family, or where there are
      none of all families, `same_family` which of the two, and `error_percent`.
    """
    rows = []
    for index, step in steps.iterrows():
        others = steps.drop(index=index)
        family = others[others["family"] == step["family"]]
        known = not family.empty
        if others.empty:
            continue
        speed = by_family(family)[step["family"]] if known else of_all(others)
        predicted = 1e3 * step["gflops"] / speed
        error = 100 * (predicted / step["step_ms"] - 1)
        told = {"predicted_ms": predicted, "same_family": known, "error_percent": error}
        rows.append({**step, **told})
    return pd.DataFrame(rows)


def told(steps: pd.DataFrame) -> str:
    """What there is to say of one device, as text."""
    lines = [f"# {steps['device_kind'].iloc[0]}"]
    lines.append(f"training_gflops_per_second: {of_all(steps):.0f}")
    lines.append("by_family:")
    lines += [f"  {family}: {speed:.0f}" for family, speed in by_family(steps).items()]
    cells = [("architecture", "family", "step, ms", "predicted, ms", "from", "error")]
    for row in left_out(steps).itertuples():
        name = row.arch_id[:8] if pd.isna(row.name) else row.name
        source = "its family" if row.same_family else "other families"
        cells.append(
            (
                str(name),
                row.family,
                f"{row.step_ms:.1f}",
                f"{row.predicted_ms:.1f}",
                source,
                f"{row.error_percent:+.0f} %",
            )
        )
    return "\n".join([*lines, "", "Each step, predicted without it:", table(cells)])


def main(arguments: list[str]) -> int:
    """Prints all devices; the exit code."""
    steps = compiled_steps(gather(Path(arguments[0])))
    for _, own in steps.groupby("device_kind"):
        print(told(own.reset_index(drop=True)), end="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
