"""What finished sweeps tell of the architectures of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.comparability import NO_CONDITIONS, recipes
from analysis.decode_times import DecodeTimes
from analysis.latency_model import (
    LatencyModel,
    latency_features,
    latency_models,
    network_medians,
)
from analysis.tables import CODEC_SETTINGS
from rdc.errors import DataError
from rdc.jobs.plan_row import COST_COLUMNS

Tables = Mapping[str, pd.DataFrame]
DECODE_MS = "decode_ms"
COSTS = (*COST_COLUMNS, DECODE_MS)
_UNTRAINED = ("pending", "running")


@dataclass(frozen=True)
class Known:
    """What a study knows before it trains more.

    Attributes:
      architectures: rows of that table with all costs, each once, measured and not.
      points: `arch_id lmbda rd_loss` of measured models that compare.
      untrained: ids of those whose trainings are all to be done.
      cost: the column of `architectures` that the frontier is over.
      left_out: measured points that do not compare.
      latency: predicts `decode_ms`; None where none was fitted.
    """

    architectures: pd.DataFrame
    points: pd.DataFrame
    untrained: tuple[str, ...]
    cost: str = "kflops_per_px"
    left_out: int = 0
    latency: LatencyModel | None = None


def known_of(
    tables: Tables,
    others: Sequence[Tables] = (),
    *,
    dataset: str,
    codec: Mapping[str, object],
    cost: str = "kflops_per_px",
) -> Known:
    """From the tables of a plan's sweep, and of others that it may learn from.

    Points compare that were trained by the plan's recipe on its data, at its rates, and
    evaluated on one set of images. Commits of the code may differ. With `decode_ms` as
    cost, an architecture counts with what was measured of it, and else with what is
    predicted.

    Args:
      dataset, codec: of the evaluations: the set's name and the settings of the codec.
      cost: one of `COSTS`.

    Raises:
      DataError: costs were not counted, the plan has several recipes, or decode times
        are asked for that cannot be predicted.
    """
    every = (tables, *others)
    architectures = pd.concat([t["architectures"] for t in every], ignore_index=True)
    architectures = architectures.drop_duplicates("arch_id", ignore_index=True)
    if tables["architectures"]["kflops_per_px"].isna().any():
        raise DataError(
            "proposals weigh counted costs",
            "a plan without them",
            "add complexity to stages",
        )
    points, measured = _points(tables, every, dataset, codec)
    counted = architectures["kflops_per_px"].notna()
    points = points[points["arch_id"].isin(architectures["arch_id"][counted])]
    planned = tables["architectures"]["arch_id"]
    architectures, latency = _with_times(
        architectures[counted], every, needed=cost == DECODE_MS
    )
    ids = architectures["arch_id"]
    architectures = architectures[ids.isin(planned) | ids.isin(points["arch_id"])]
    runs = tables["runs"]
    todo = runs["status"].isin(_UNTRAINED).groupby(runs["arch_id"]).all()
    return Known(
        architectures=architectures.reset_index(drop=True),
        points=points[["arch_id", "lmbda", "rd_loss"]].reset_index(drop=True),
        untrained=tuple(a for a in todo.index[todo] if a not in set(points["arch_id"])),
        cost=cost,
        left_out=measured - len(points),
        latency=latency,
    )


def _points(
    tables: Tables,
    every: Sequence[Tables],
    dataset: str,
    codec: Mapping[str, object],
) -> tuple[pd.DataFrame, int]:
    """The points that compare, and how many were measured in all."""
    planned = _conditions(tables["runs"]).drop_duplicates()
    if len(planned) > 1:
        varied = ", ".join(c for c in planned if planned[c].nunique() > 1)
        raise DataError(
            "proposals compare trainings of one recipe",
            f"a plan that varies {varied}",
            "take a grid that varies architectures, seeds and rates alone",
        )
    rows = []
    for own in every:
        alike = (_conditions(own["runs"]) == planned.iloc[0]).all(axis=1)
        measured = own["frontier"].dropna(subset="rd_loss")
        trained_so = measured["run_id"].isin(own["runs"]["run_id"][alike])
        rows.append(measured.assign(alike=trained_so))
    points = pd.concat(rows).drop_duplicates(
        ["run_id", "rate", "dataset", *CODEC_SETTINGS]
    )
    compare = points["alike"] & (points["dataset"] == dataset)
    compare &= points["lmbda"].isin(tables["points"]["lmbda"])
    for name in CODEC_SETTINGS:
        compare &= points[name] == codec[name]
    found = points[compare]
    usual = found["image_set"].mode().head(1)
    return found[found["image_set"].isin(usual)], len(points)


def _conditions(runs: pd.DataFrame) -> pd.DataFrame:
    table = recipes(runs["recipe_json"]).drop(columns=list(NO_CONDITIONS))
    return table.assign(data_sha256=runs["data_sha256"])


def _with_times(
    architectures: pd.DataFrame, every: Sequence[Tables], needed: bool
) -> tuple[pd.DataFrame, LatencyModel | None]:
    """Adds `decode_ms decode_ms_low decode_ms_high` of the device that timed most; all
    three are the median where it was measured, and missing where nothing is known.
    """
    joined = {
        name: pd.concat([t[name] for t in every], ignore_index=True)
        for name in ("decode_times", "complexity")
    }
    joined["architectures"] = architectures
    joined["complexity"] = joined["complexity"].drop_duplicates(
        ["arch_id", "side", "component"]
    )
    models, refused = latency_models(joined)
    times = DecodeTimes.of(joined["decode_times"])
    devices = [str(name) for name in times.conditions["hardware_id"]]
    missing = pd.DataFrame(
        float("nan"),
        architectures.index,
        [DECODE_MS, "decode_ms_low", "decode_ms_high"],
    )
    if not devices or devices[0] not in models:
        if needed and devices:
            raise refused[devices[0]]
        if needed:
            raise DataError(
                "a frontier over decode_ms needs decode times",
                "none",
                "stages=[plan,complexity,benchmark] benchmark.weights=random",
            )
        return architectures.join(missing), None
    model = models[devices[0]]
    features = latency_features(architectures, joined["complexity"])
    predicted = model.predict(features).loc[architectures["arch_id"]]
    measured = network_medians(times, devices[0]).reindex(architectures["arch_id"])
    for name in predicted:
        known = measured.fillna(predicted[name]).to_numpy()
        architectures = architectures.assign(**{str(name): known})
    return architectures, model
