"""Decode times of architectures that nobody timed, from what is counted of them.

A device's milliseconds for the stage `network` are a sum of a few terms, each with a
rate that is not negative:

    fixed, coding steps, kMACs of all components, kMACs of the entropy model, memory

What the entropy model and the hyper-synthesis multiply counts twice, so that the last
but one is their surcharge: where no timed architecture tells of it, they cost what the
synthesis transform does. The rates are fitted to the medians of a device in relative
error. How far the sum is
to be trusted is asked of families that it did not see: each is left out in turn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from analysis.decode_times import MAIN_STAGE, DecodeTimes
from rdc.errors import DataError

TERMS = ("fixed", "coding_steps", "kmacs", "entropy_kmacs", "memory_bytes")
MIN_ARCHITECTURES = 6
# Six families' errors cannot bound nine of ten others; four of five they can.
CONFIDENCE = 0.8
_FEW = "time more of them: stages=[plan,complexity,benchmark] benchmark.weights=random"


@dataclass(frozen=True)
class LatencyModel:
    """The decode time of one device in the conditions that it was timed in.

    Attributes:
      milliseconds: per unit of each of `TERMS`.
      factor: `CONFIDENCE` of the architectures of families that were left out took
        between a `factor`-th of the predicted time and `factor` times as long.
      left_out: one row per family: `family architectures median_percent
        worst_percent`, the absolute relative error where it was left out.
    """

    milliseconds: tuple[float, ...]
    factor: float
    left_out: pd.DataFrame

    @classmethod
    def fit(
        cls, decode_ms: pd.Series, features: pd.DataFrame, families: pd.Series
    ) -> LatencyModel:
        """Fits the times of one device.

        Args:
          decode_ms: positive, by `arch_id`.
          features: `latency_features`, with these rows at least.
          families: by `arch_id`, too.

        Raises:
          DataError: too few architectures, or all of one family.
        """
        times = decode_ms.to_numpy(float)
        if len(times) < MIN_ARCHITECTURES:
            raise DataError(
                f"decode times are predicted from {MIN_ARCHITECTURES} architectures",
                len(times),
                _FEW,
            )
        if not (np.isfinite(times).all() and (times > 0).all()):
            raise DataError("decode times are positive", times.min())
        rows = features.loc[decode_ms.index].to_numpy(float)
        family = families.loc[decode_ms.index].to_numpy()
        if len(set(family)) < 2:
            raise DataError(
                "decode times are predicted from two families and more",
                f"{family[0]} alone",
                _FEW,
            )
        logarithms = np.empty(len(times))
        for name in set(family):
            out = family == name
            rates = _rates(rows[~out], times[~out])
            logarithms[out] = np.log((rows[out] @ rates) / times[out])
        errors = pd.DataFrame(
            {"family": family, "percent": 100 * np.abs(np.expm1(logarithms))}
        )
        left_out = errors.groupby("family")["percent"].agg(
            architectures="size", median_percent="median", worst_percent="max"
        )
        # The rank that bounds one more exchangeable architecture.
        rank = int(np.ceil(CONFIDENCE * (len(times) + 1)))
        factor = float(np.exp(np.sort(np.abs(logarithms))[rank - 1]))
        milliseconds = tuple(map(float, _rates(rows, times)))
        return cls(milliseconds, factor, left_out.reset_index())

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """`decode_ms decode_ms_low decode_ms_high`, for each row of `features`."""
        times = features.to_numpy(float) @ np.array(self.milliseconds)
        return pd.DataFrame(
            {
                "decode_ms": times,
                "decode_ms_low": times / self.factor,
                "decode_ms_high": times * self.factor,
            },
            features.index,
        )


def latency_features(
    architectures: pd.DataFrame, complexity: pd.DataFrame
) -> pd.DataFrame:
    """`TERMS` by `arch_id`, of the decoder; all but the first two per pixel.

    Args:
      architectures, complexity: the tables; what was not counted is left out.
    """
    counted = architectures[architectures["kflops_per_px"].notna()]
    table = counted.set_index("arch_id")
    decoder = complexity[complexity["side"] == "decode"]
    kmacs = decoder.pivot_table("macs_per_px", "arch_id", "component", "sum") / 1000
    synthesis = kmacs["synthesis_transform"].reindex(table.index)
    return pd.DataFrame(
        {
            "fixed": 1.0,
            "coding_steps": [_coding_steps(text) for text in table["config_json"]],
            "kmacs": table["kmacs_per_px"],
            "entropy_kmacs": table["kmacs_per_px"] - synthesis,
            "memory_bytes": table["decoder_peak_bytes_per_px"],
        },
        table.index,
    )[list(TERMS)]


def latency_models(
    tables: Mapping[str, pd.DataFrame],
) -> tuple[dict[str, LatencyModel], dict[str, DataError]]:
    """By `hardware_id`: the models, and why other devices have none.

    Where a device timed both numerics, those that it timed most are modelled.

    Args:
      tables: of `analysis.gather`.
    """
    times = DecodeTimes.of(tables["decode_times"])
    features = latency_features(tables["architectures"], tables["complexity"])
    families = tables["architectures"].set_index("arch_id")["family"]
    models, refused = {}, {}
    for hardware_id in times.conditions["hardware_id"]:
        medians = network_medians(times, str(hardware_id))
        counted = medians[medians.index.isin(features.index)]
        try:
            models[str(hardware_id)] = LatencyModel.fit(counted, features, families)
        except DataError as error:
            refused[str(hardware_id)] = error
    return models, refused


def network_medians(times: DecodeTimes, hardware_id: str) -> pd.Series:
    """Milliseconds of the stage `network` by `arch_id`, over all its trainings."""
    shown = times.shown
    rows = shown[(shown["hardware_id"] == hardware_id) & (shown["stage"] == MAIN_STAGE)]
    usual = rows["numerics"].mode().head(1)
    rows = rows[rows["numerics"].isin(usual)]
    return rows.groupby("arch_id")["decode_ms"].median()


def _rates(features: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Not negative, least squares of the relative error."""
    sizes = np.maximum(features.max(axis=0), 1e-12)  # terms of like size for `nnls`
    scaled, _ = nnls(features / sizes / times[:, None], np.ones(len(times)))
    return scaled / sizes


def _coding_steps(config_json: str) -> int:
    """An entropy model without slices codes y in one."""
    return json.loads(config_json)["entropy_model"].get("num_slices", 1)
