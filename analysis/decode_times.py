"""Medians of decode times, each over repeats of one and the same thing.

That is: one trained model or architecture at one rate, one coder, one computation of
the networks, one stage, one device, and equal conditions: image set and size,
precision, threads, visible devices. Of the conditions that a device has times of,
plots show the commonest; how many medians that leaves out is told.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.measures import MEASURES
from rdc.measurements.rows import OBSERVED, STAGES, DecodeTime

# The stage that needs no trained weights: every architecture has it.
MAIN_STAGE = "network"
_TIMED = ["arch_id", "run_id", "hardware_id", "coder", "numerics", "rate", "stage"]
# Whatever else a row of times has, its repeat and value apart, is a condition of it.
_CONDITIONS = [
    field.name
    for field in dataclasses.fields(DecodeTime)
    if field.name not in ("stage", "repeat", "decode_ms", "dataset", *OBSERVED)
]
_QUARTILES = {"decode_ms_q25": 0.25, "decode_ms": 0.5, "decode_ms_q75": 0.75}


@dataclass(frozen=True)
class DecodeTimes:
    """Medians of a table `decode_times`.

    Attributes:
      shown: one row per median in its device's commonest conditions: what was timed
        (`run_id` is "" for random weights), the conditions, quartiles and the
        measures of hardware.
      conditions: per `hardware_id`, most timed first, the commonest conditions.
      left_out: medians under other ones.
    """

    shown: pd.DataFrame
    conditions: pd.DataFrame
    left_out: int

    @classmethod
    def of(cls, times: pd.DataFrame) -> DecodeTimes:
        medians = _medians(times)
        keys = ["hardware_id", *_CONDITIONS]
        counts = medians.groupby(keys, as_index=False)["repeats"].sum()
        counts = counts.sort_values("repeats", kind="stable", ascending=False)
        usual = counts.drop_duplicates("hardware_id").drop(columns="repeats")
        shown = medians.merge(usual, on=keys)
        # Of several image sets of one size, the one that most were timed on.
        sets = shown.groupby(["hardware_id", "dataset"])["repeats"]
        shown = shown.assign(timed=sets.transform("sum"))
        shown = shown.sort_values(["timed", "dataset"], ascending=False)
        shown = shown.drop_duplicates(_TIMED).drop(columns="timed").sort_index()
        measures = [m for m in MEASURES.values() if m.of == "hardware"]
        shown = shown.assign(**{m.name: m.column(shown) for m in measures})
        return cls(shown, usual.reset_index(drop=True), len(medians) - len(shown))


def _medians(times: pd.DataFrame) -> pd.DataFrame:
    keys = [*_TIMED, *_CONDITIONS, "dataset"]
    nulls = {"run_id": "", "dataset": ""}
    grouped = times.fillna(nulls).groupby(keys)["decode_ms"]
    quartiles = grouped.quantile(list(_QUARTILES.values())).unstack()
    quartiles = quartiles.reindex(columns=list(_QUARTILES.values()))
    quartiles = quartiles.set_axis(list(_QUARTILES), axis=1)
    return quartiles.assign(repeats=grouped.size()).reset_index()


def statistics() -> list[str]:
    """What the columns `STATISTIC.HARDWARE_ID.STAGE` of `frontier` hold."""
    measures = [m.name for m in MEASURES.values() if m.of == "hardware"]
    return list(dict.fromkeys([*measures, *_QUARTILES]))


def with_times(table: pd.DataFrame, times: DecodeTimes) -> pd.DataFrame:
    """Adds the times of each point, measured with its coder and numerics.

    Those of its own weights at its own rate; else, of the same architecture with random
    weights. In the stage `network`, all rates of a model take equally long. The plain
    columns are of this stage on the device timed most.

    Args:
      table: with `run_id`, `rate`, `arch_id`, `coder` and `numerics`.
    """
    random = times.shown["run_id"] == ""
    own = times.shown[~random], ["run_id", "coder", "numerics"]
    shared = times.shown[random], ["arch_id", "coder", "numerics"]
    columns: dict[str, pd.Series] = {}
    for device in times.conditions["hardware_id"]:
        for stage in STAGES:
            own_rate = [] if stage == MAIN_STAGE else ["rate"]
            kinds = ((own[0], own[1] + own_rate), shared)
            found = [_looked_up(table, *kind, device, stage) for kind in kinds]
            if all(frame is None for frame in found):
                continue
            first, second = (
                pd.DataFrame(np.nan, table.index, statistics()) if f is None else f
                for f in found
            )
            values = first.where(first["decode_ms"].notna(), second)
            for name in statistics():
                columns[f"{name}.{device}.{stage}"] = values[name].astype(float)
    main = next(iter(times.conditions["hardware_id"]), None)
    nothing = pd.Series(np.nan, index=table.index)
    plain = {
        m.name: columns.get(f"{m.name}.{main}.{MAIN_STAGE}", nothing)
        for m in MEASURES.values()
        if m.of == "hardware"
    }
    return table.assign(decode_hardware_id=main, **plain, **columns)


def _looked_up(
    table: pd.DataFrame, times: pd.DataFrame, keys: list[str], device: str, stage: str
) -> pd.DataFrame | None:
    """The statistics for each row of `table`; None where nothing was timed."""
    rows = times[(times["hardware_id"] == device) & (times["stage"] == stage)]
    if rows.empty:
        return None
    # Random weights at several rates, if anyone times them, take equally long.
    rows = rows.drop_duplicates(keys)[[*keys, *statistics()]]
    return table[keys].merge(rows, "left", keys).set_index(table.index)[statistics()]
