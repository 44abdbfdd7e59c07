"""`python -m analysis.decode_page OUT`: writes docs/results/decode.md.

OUT is that of a sweep whose stage benchmark was asked for several devices, one after
the other: times of those at hand, estimates of those that are not.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.gather import gather
from analysis.pages import number, run, table
from rdc.errors import DataError
from rdc.system.files import write_bytes_atomically

PAGE = Path(__file__).parents[1] / "docs/results/decode.md"
NETWORK = "network"
TEMPLATE = """\
# Decoders on devices, at hand and not

The network stage of the decoder, one image of {size} pixels, batch 1.

    for device in {devices}; do
      python launch/sweep.py +grid=rdc_frontier hardware=$device launcher=local \\
        out=OUT 'stages=[plan,complexity,benchmark,gather]'
    done
    python -m analysis.decode_page OUT

**Estimates are no measurements.** They are sums of the cycles that XLA's compiler for
TPUs ({compilers}) writes beside the instructions of a program, over the clock of the
device (`conf/hardware/tpu_*.yaml`): its own model of the hardware, by which it chooses
between programs. Nothing was run. Products are {precision}; entropy coding and
transfers are not in it.

{notes}

## Milliseconds, and the rank in each column

{times}

## Where the time goes

Share of the cycles; `other` are copies and changes of layout between components.

{shares}

## Memory

{memory}
"""
NOTES = {
    "TPU v4": "A TPU v4 is one of the two TensorCores of a chip, at 1050 MHz.",
    "TPU v5 lite": "A TPU v5 lite (v5e) is one chip, at 1500 MHz.",
    "TPU v6 lite": "A TPU v6 lite (v6e) is one chip, at 1750 MHz, which supposes four "
    "matrix units: were it two, its times would be half of these.",
}
OPTIONS = {"TPU v4": "tpu_v4", "TPU v5 lite": "tpu_v5e", "TPU v6 lite": "tpu_v6e"}


def write_page(out: Path, path: Path = PAGE) -> Path:
    """Gathers the records of OUT, and writes their page.

    Raises:
      DataError: there are no estimates.
    """
    write_bytes_atomically(path, page(gather(out)).encode())
    return path


def page(tables: dict[str, pd.DataFrame]) -> str:
    """The text, from the tables of a sweep; raises as `write_page`."""
    estimates = tables["decode_estimates"]
    if estimates.empty:
        raise DataError(
            "a page of decode estimates has some",
            "none in this OUT",
            "launch/sweep.py ... hardware=tpu_v4 stages=[plan,complexity,benchmark]",
        )
    first = estimates.iloc[0]
    same = (estimates["height_px"] == first["height_px"]) & (
        estimates["width_px"] == first["width_px"]
    )
    estimates = estimates[same]
    architectures = tables["architectures"].sort_values("kflops_per_px")
    architectures = architectures.set_index("arch_id")
    whole = estimates[estimates["component"] == NETWORK]
    columns = {
        f"{kind}, estimated": rows.set_index("arch_id")["decode_ms"]
        for kind, rows in whole.groupby("device_kind")
    }
    columns |= _measured(tables, first)
    kinds = list(dict.fromkeys(whole["device_kind"].sort_values()))
    return TEMPLATE.format(
        size=f"{first['height_px']} x {first['width_px']}",
        devices=" ".join(OPTIONS.get(kind, kind) for kind in kinds),
        compilers=", ".join(sorted(estimates["compiler"].unique())),
        precision=" and ".join(
            "one pass in bfloat16" if p == "bfloat16" else "float32 in several passes"
            for p in sorted(estimates["precision"].unique())
        ),
        notes="\n".join(NOTES[kind] for kind in kinds if kind in NOTES),
        times=_times(architectures, columns),
        shares=_shares(architectures, estimates),
        memory=_memory(architectures, whole),
    )


def _measured(
    tables: dict[str, pd.DataFrame], first: pd.Series
) -> dict[str, pd.Series]:
    times = tables["decode_times"]
    times = times[
        (times["stage"] == NETWORK)
        & (times["height_px"] == first["height_px"])
        & (times["width_px"] == first["width_px"])
    ]
    hardware = tables["hardware"].set_index("hardware_id")
    found = {}
    for hardware_id, rows in times.groupby("hardware_id"):
        device = hardware.loc[hardware_id]
        name = device["host_cpu" if device["platform"] == "cpu" else "device_kind"]
        threads = int(rows["cpu_threads"].iloc[0])
        where = f", {threads} threads" if device["platform"] == "cpu" else ""
        medians = rows.groupby("arch_id")["decode_ms"].median()
        found[f"{name}{where}, measured"] = medians
    return found


def _times(architectures: pd.DataFrame, columns: dict[str, pd.Series]) -> str:
    lines: list[Sequence[str]] = [("architecture", "kFLOPs/px", *columns)]
    ranks = {name: values.rank(method="first") for name, values in columns.items()}
    for arch_id, row in architectures.iterrows():
        cells = [
            f"{number(values.get(arch_id, float('nan')), '.2f')}"
            f" ({number(ranks[name].get(arch_id, float('nan')), '.0f')})"
            for name, values in columns.items()
        ]
        lines.append((_label(row), f"{row['kflops_per_px']:.1f}", *cells))
    return table(lines)


def _shares(architectures: pd.DataFrame, estimates: pd.DataFrame) -> str:
    parts = [c for c in estimates["component"].unique() if c != NETWORK]
    lines: list[Sequence[str]] = [("architecture", "device", *parts)]
    for arch_id, row in architectures.iterrows():
        own = estimates[estimates["arch_id"] == arch_id]
        for kind, rows in own.groupby("device_kind"):
            cycles = rows.set_index("component")["cycles"].astype(float)
            share = 100 * cycles / cycles.get(NETWORK, float("nan"))
            cells = [number(share.get(p, float("nan")), ".0f", " %") for p in parts]
            lines.append((_label(row), str(kind), *cells))
    return table(lines)


def _memory(architectures: pd.DataFrame, whole: pd.DataFrame) -> str:
    lines: list[Sequence[str]] = [("architecture", "device", "MB", "fits")]
    for arch_id, row in architectures.iterrows():
        for estimate in whole[whole["arch_id"] == arch_id].itertuples():
            peak = float("nan") if pd.isna(estimate.peak_bytes) else estimate.peak_bytes
            fits = "yes" if estimate.fits else "no"
            megabytes = number(peak / 1e6, ",.0f")
            lines.append((_label(row), str(estimate.device_kind), megabytes, fits))
    return table(lines)


def _label(row: pd.Series) -> str:
    name = row["name"]
    return row["family"] if pd.isna(name) else f"`{name}` ({row['family']})"


if __name__ == "__main__":
    sys.exit(run("analysis.decode_page", write_page, PAGE))
