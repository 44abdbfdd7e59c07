"""`python -m analysis.decode_page OUT`: writes docs/results/decode.md.

OUT is that of a sweep whose stage benchmark was asked for several devices, one after
the other: times of those at hand, estimates of those that are not.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from analysis.decode_ranks import (
    PUBLISHED,
    exchanged,
    order,
    published_ms,
    ranks_picture,
    told,
)
from analysis.decode_times import MAIN_STAGE, DecodeTimes
from analysis.gather import gather
from analysis.pages import number, run, table
from analysis.report.figures import RC
from rdc.errors import DataError
from rdc.specs.timing import NOTABLE_DRIFT
from rdc.system.files import write_bytes_atomically

PAGE = Path(__file__).parents[1] / "docs/results/decode.md"
PICTURE = "decode_ranks.png"
TEMPLATE = """\
# Decoders on devices, at hand and not

The network stage of the decoder, one image of {size} pixels, batch 1.

    for device in {devices}; do
      python launch/sweep.py +grid=rdc_frontier hardware=$device launcher=local \\
        out=OUT 'stages=[plan,complexity,benchmark,gather]'
    done
    python -m analysis.decode_page OUT

**Estimates are no measurements.** Nothing was run; entropy coding and transfers are not
in them. Of a TPU they are sums of the cycles that XLA's compiler writes beside the
instructions of a program, over the clock of the device: its own model of the hardware,
by which it chooses between programs. Of a GPU they are a roofline of the kernels that
XLA's compiler makes: the longer of their products at the full rate of the matrix units
and of their memory traffic at its full rate. That is a least time without the start of
any kernel, and no model of how long one takes.

{notes}

## Estimated: milliseconds, and the rank in each column

{estimated}

## Orders

![Ranks of A to G by device](../images/{picture})

FLOPs and time disagree, the study found, and disagree differently by device. Fastest
first:

{orders}

Published: Minnen & Johnston 2023 (arXiv 2311.12821), table 1, Kodak on an A100, from
their MP/s. Their code is not public and A to G are a reconstruction
([architectures](../architectures.md)): their order compares, their times do not. A pair
that changes places need not do so for the device: it may be for the decoders, or for
what estimates leave out.{rooflines}

## Measured: milliseconds, and the rank in each column

By the same command with the `hardware` at hand and `benchmark.weights=random`.

{measured}

{drifts}

## Where the time goes

Share of the estimated time; `other` are copies and changes of layout between
components.

{shares}

Measured, milliseconds of each part by itself; coding steps together, the encoder's
`end_to_end` with its entropy coding, of random weights:

{parts}

## Memory

Of the compiled program, estimated.

{memory}
"""
OPTIONS = {
    "TPU v4": "tpu_v4",
    "TPU v5 lite": "tpu_v5e",
    "TPU v6 lite": "tpu_v6e",
    "NVIDIA A100-SXM4-80GB": "a100",
    "NVIDIA H100 80GB HBM3": "h100",
}
PRODUCTS = {
    "bfloat16": "in one pass of bfloat16",
    "highest": "in float32, several passes",
    "tensorfloat32": "in TF32",
}
MARKS = {"compiler": "estimated", "roofline": "roofline"}
NOT_TIMED = "missing: no device was timed in this OUT."
_DPI = 110  # of a picture in a document


def write_page(out: Path, path: Path = PAGE) -> Path:
    """Gathers the records of OUT, and writes their page and its picture.

    Raises:
      DataError: there are no estimates.
    """
    tables = gather(out)
    text = page(tables)
    folder = path.parents[1] / "images" if path == PAGE else path.parent
    file = io.BytesIO()
    with mpl.rc_context(RC):
        _picture(tables).savefig(file, format="png", dpi=_DPI)
    write_bytes_atomically(folder / PICTURE, file.getvalue())
    write_bytes_atomically(path, text.encode())
    return path


def page(tables: dict[str, pd.DataFrame]) -> str:
    """The text, from the tables of a sweep; raises as `write_page`."""
    estimates = _of_one_size(tables)
    first = estimates.iloc[0]
    architectures = _architectures(tables)
    whole = estimates[estimates["component"] == MAIN_STAGE]
    kinds = sorted(whole["device_kind"].unique())
    measured = _measured(tables, first)
    return TEMPLATE.format(
        size=f"{first['height_px']} x {first['width_px']}",
        devices=" ".join(OPTIONS.get(kind, kind) for kind in kinds),
        notes="\n".join(_note(whole[whole["device_kind"] == kind]) for kind in kinds),
        estimated=_times(architectures, _estimated(whole)),
        picture=PICTURE,
        orders="\n".join(told(_labelled(tables))),
        rooflines=_rooflines(tables),
        measured=_times(architectures, measured) if measured else NOT_TIMED,
        drifts=_drifts(architectures, tables["decode_times"]),
        shares=_shares(architectures, estimates),
        parts=_parts(architectures, tables, first),
        memory=_memory(architectures, whole),
    )


def _of_one_size(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    estimates = tables["decode_estimates"]
    if estimates.empty:
        raise DataError(
            "a page of decode estimates has some",
            "none in this OUT",
            "launch/sweep.py ... hardware=tpu_v4 stages=[plan,complexity,benchmark]",
        )
    first = estimates.iloc[0]
    return estimates[
        (estimates["height_px"] == first["height_px"])
        & (estimates["width_px"] == first["width_px"])
    ]


def _architectures(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """By `arch_id`, cheapest first."""
    table = tables["architectures"].sort_values("kflops_per_px")
    return table.set_index("arch_id")


def _note(rows: pd.DataFrame) -> str:
    """What a device is, as its records say."""
    first = rows.iloc[0]
    clock = first["clock_mhz"]
    facts = [
        first["device_note"],
        "" if pd.isna(clock) else f"{clock:g} MHz",
        f"products {PRODUCTS[first['precision']]}",
        ", ".join(sorted(rows["compiler"].unique())),
    ]
    return f"- {first['device_kind']}: {'; '.join(fact for fact in facts if fact)}."


def _estimated(whole: pd.DataFrame) -> dict[str, pd.Series]:
    return {
        f"{kind}, {MARKS[str(source)]}": rows.set_index("arch_id")["decode_ms"]
        for (kind, source), rows in whole.groupby(["device_kind", "source"])
    }


def _labelled(tables: dict[str, pd.DataFrame]) -> dict[str, pd.Series]:
    """All columns by the letter, or the family, of an architecture."""
    estimates, architectures = _of_one_size(tables), _architectures(tables)
    columns = {
        PUBLISHED: published_ms(architectures),
        **_estimated(estimates[estimates["component"] == MAIN_STAGE]),
        **_measured(tables, estimates.iloc[0]),
    }
    letters = architectures["name"].str.removeprefix("rdc_").str.upper()
    letters = letters.fillna(architectures["family"])
    return {name: times.rename(index=letters) for name, times in columns.items()}


def _rooflines(tables: dict[str, pd.DataFrame]) -> str:
    """Whether the published device itself has another order, as far as a roofline says:
    then devices alone are no reason."""
    columns = _labelled(tables)
    published = columns[PUBLISHED]
    found = [name for name in columns if "A100" in name and name.endswith("roofline")]
    for name in found:
        if exchanged(published, columns[name]):
            share = 100 * (columns[name] / published).dropna()
            return (
                " The roofline of the same decoders on an A100 exchanges pairs of\nthe "
                "published order, too; at full rates, their products and traffic would "
                f"be\n{share.min():.0f} to {share.max():.0f} % of the published times."
            )
    return ""


def _picture(tables: dict[str, pd.DataFrame]) -> Figure:
    columns = _labelled(tables)
    return ranks_picture(columns, order(columns[PUBLISHED]))


def _measured(
    tables: dict[str, pd.DataFrame], first: pd.Series
) -> dict[str, pd.Series]:
    """Medians by `arch_id` for each device that was timed, as `decode_times` shows."""
    shown = DecodeTimes.of(tables["decode_times"]).shown
    shown = shown[
        (shown["stage"] == MAIN_STAGE)
        & (shown["height_px"] == first["height_px"])
        & (shown["width_px"] == first["width_px"])
    ]
    hardware = tables["hardware"].set_index("hardware_id")
    found = {}
    for hardware_id, rows in shown.groupby("hardware_id"):
        device = hardware.loc[hardware_id]
        cpu = device["platform"] == "cpu"
        name = device["host_cpu" if cpu else "device_kind"]
        threads = f", {rows['cpu_threads'].iloc[0]} threads" if cpu else ""
        medians = rows.groupby("arch_id")["decode_ms"].median()
        found[f"{name}{threads}, measured"] = medians
    return found


def _drifts(architectures: pd.DataFrame, times: pd.DataFrame) -> str:
    """Whose times were taken while the device became faster or slower."""
    moved = times[times["drift"].abs() > NOTABLE_DRIFT].drop_duplicates("arch_id")
    if moved.empty:
        return ""
    names = [
        f"{_label(architectures.loc[row.arch_id])} {100 * row.drift:+.0f} %"
        for row in moved.itertuples()
    ]
    return (
        "While these were timed, the anchor, a product of matrices before and after, "
        f"changed by over {100 * NOTABLE_DRIFT:.0f} %: {', '.join(names)}. "
        "Their times are of a device that others worked on."
    )


def _times(architectures: pd.DataFrame, columns: dict[str, pd.Series]) -> str:
    lines: list[Sequence[str]] = [("architecture", "kFLOPs/px", *columns)]
    ranks = {name: values.rank(method="first") for name, values in columns.items()}
    for arch_id, row in architectures.iterrows():
        cells = [
            f"{values[arch_id]:.2f} ({ranks[name][arch_id]:.0f})"
            if pd.notna(values.get(arch_id))
            else "-"
            for name, values in columns.items()
        ]
        lines.append((_label(row), f"{row['kflops_per_px']:.1f}", *cells))
    return table(lines)


def _shares(architectures: pd.DataFrame, estimates: pd.DataFrame) -> str:
    parts = [c for c in estimates["component"].unique() if c != MAIN_STAGE]
    lines: list[Sequence[str]] = [("architecture", "device", *parts)]
    for arch_id, row in architectures.iterrows():
        own = estimates[estimates["arch_id"] == arch_id]
        for kind, rows in own.groupby("device_kind"):
            times = rows.set_index("component")["decode_ms"].astype(float)
            share = 100 * times / times.get(MAIN_STAGE, float("nan"))
            cells = [number(share.get(p, float("nan")), ".0f", " %") for p in parts]
            lines.append((_label(row), str(kind), *cells))
    return table(lines)


def _parts(
    architectures: pd.DataFrame, tables: dict[str, pd.DataFrame], first: pd.Series
) -> str:
    """Medians of `component_times`."""
    times = tables["component_times"]
    times = times[
        (times["height_px"] == first["height_px"])
        & (times["width_px"] == first["width_px"])
    ]
    if times.empty:
        return NOT_TIMED
    keys = ["arch_id", "hardware_id", "side", "component"]
    medians = times.groupby(keys, as_index=False)["milliseconds"].median()
    steps = medians["component"].str.startswith("coding_step_")
    medians["component"] = medians["component"].mask(steps, "coding steps")
    sums = medians.groupby(keys)["milliseconds"].sum().reset_index()
    sums["part"] = sums["side"] + ": " + sums["component"]
    names = list(dict.fromkeys(sums["part"]))
    lines: list[Sequence[str]] = [("architecture", "device", *names)]
    devices = tables["hardware"].set_index("hardware_id")
    for arch_id, row in architectures.iterrows():
        own = sums[sums["arch_id"] == arch_id]
        for hardware_id, rows in own.groupby("hardware_id"):
            device = devices.loc[hardware_id]
            cpu = device["platform"] == "cpu"
            found = rows.set_index("part")["milliseconds"]
            cells = [number(found.get(name, float("nan")), ".1f") for name in names]
            kind = device["host_cpu" if cpu else "device_kind"]
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
