"""Decode times follow from counted costs as far as families tell of each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.decode_ranks import PUBLISHED_MPX_PER_S
from analysis.decode_times import DecodeTimes
from analysis.gather import gather
from analysis.latency_model import (
    MIN_ARCHITECTURES,
    TERMS,
    LatencyModel,
    latency_features,
    latency_models,
    network_medians,
)
from rdc.errors import DataError
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.invented import HARDWARE, architectures

FAMILIES = ("conv", "elic", "swint", "conv/charm")
MS_PER_UNIT = np.array([2.0, 0.5, 0.03, 0.06, 0.004])  # of `TERMS`
# What rdc.complexity counts of models A to G: as `TERMS`, without the constant.
STUDY = {
    "rdc_a": ("elic/charm:swin", 10, 538.59, 95.96, 768.0),
    "rdc_b": ("elic/charm:swin", 10, 317.05, 77.78, 384.0),
    "rdc_c": ("elic/charm:swin", 10, 195.50, 95.96, 288.0),
    "rdc_d": ("elic/charm:swin", 10, 171.57, 53.30, 288.0),
    "rdc_e": ("swint/hyperprior:conv", 1, 126.05, 5.44, 1248.0),
    "rdc_f": ("elic/hyperprior:conv", 1, 99.39, 5.44, 192.0),
    "rdc_g": ("conv/hyperprior:conv", 1, 58.86, 5.44, 336.1),
}


def invented(count: int = 16) -> tuple[pd.Series, pd.DataFrame, pd.Series]:
    """Times that are exactly linear, features and families of so many architectures."""
    random = np.random.default_rng(0)
    ids = [f"{n:016x}" for n in range(count)]
    features = pd.DataFrame(
        {
            "fixed": 1.0,
            "coding_steps": random.integers(1, 11, count),
            "kmacs": random.uniform(2, 500, count),
            "entropy_kmacs": random.uniform(0, 100, count),
            "memory_bytes": random.uniform(30, 1200, count),
        },
        ids,
    )[list(TERMS)]
    families = pd.Series([FAMILIES[n % len(FAMILIES)] for n in range(count)], ids)
    return features @ MS_PER_UNIT, features, families


def test_a_linear_device_is_found_out_even_for_families_that_were_left_out() -> None:
    times, features, families = invented()
    model = LatencyModel.fit(times, features, families)
    assert model.milliseconds == pytest.approx(MS_PER_UNIT)
    assert model.factor == pytest.approx(1)
    assert set(model.left_out["family"]) == set(FAMILIES)
    assert model.left_out["worst_percent"].max() < 1e-6
    predicted = model.predict(features.head(3))
    assert predicted["decode_ms"].to_numpy() == pytest.approx(times.head(3).to_numpy())


def test_a_family_that_the_device_is_slow_at_widens_the_interval() -> None:
    times, features, families = invented()
    times[families == "swint"] *= 2
    model = LatencyModel.fit(times, features, families)
    errors = model.left_out.set_index("family")["median_percent"]
    assert errors.idxmax() == "swint"
    assert 30 < errors["swint"] < 70
    assert model.factor > 1.2
    predicted = model.predict(features)
    inside = times.between(predicted["decode_ms_low"], predicted["decode_ms_high"])
    assert inside.mean() >= 0.8


def test_entropy_models_that_nothing_tells_of_cost_what_the_transform_does() -> None:
    """Their surcharge is that of the families with slices, which are left out."""
    times, features, families = invented()
    features["entropy_kmacs"] = np.where(families == "conv/charm", 50.0, 0.0)
    features["coding_steps"] = 1
    times = 0.1 * features["kmacs"]
    model = LatencyModel.fit(times, features, families)
    assert model.left_out["worst_percent"].max() < 1e-6


def test_too_little_to_learn_from_is_refused() -> None:
    few = MIN_ARCHITECTURES - 1
    with pytest.raises(
        DataError, match=f"from {MIN_ARCHITECTURES} architec.*got {few}"
    ):
        LatencyModel.fit(*invented(few))
    times, features, families = invented()
    with pytest.raises(DataError, match="two families and more; got conv alone"):
        LatencyModel.fit(times[families == "conv"].repeat(2), features, families)
    times.iloc[0] = np.nan
    with pytest.raises(DataError, match="decode times are positive"):
        LatencyModel.fit(times, features, families)


def test_the_published_times_of_the_study() -> None:
    """The figures that docs/results/proposals.md gives."""
    rows = {name: (1.0, *values) for name, (_, *values) in STUDY.items()}
    features = pd.DataFrame.from_dict(rows, "index", columns=list(TERMS))
    families = pd.Series({name: family for name, (family, *_) in STUDY.items()})
    times = 1000 * 0.393216 / pd.Series(PUBLISHED_MPX_PER_S)
    model = LatencyModel.fit(times, features, families)
    assert round(model.factor, 1) == 3.8
    assert round(model.left_out["median_percent"].min()) == 28
    assert round(model.left_out["worst_percent"].max()) == 74


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    sweep = SweepOutput(
        tmp_path_factory.mktemp("timed") / "out", hardware_ids=tuple(HARDWARE)
    )
    jobs = sweep.plan(architectures((32, 128)))
    for job in jobs:
        sweep.benchmark(job, "c0ffee00c0ffee00", trained=False)
    for job in jobs[:2]:
        sweep.benchmark(job, "9f09f09f09f09f09", trained=False)
    return gather(sweep.out)


def test_each_device_has_a_model_of_its_own_or_a_reason(
    tables: dict[str, pd.DataFrame],
) -> None:
    models, refused = latency_models(tables)
    assert set(models) == {"c0ffee00c0ffee00"}
    assert "got 2" in str(refused["9f09f09f09f09f09"])
    medians = network_medians(DecodeTimes.of(tables["decode_times"]), *models)
    features = latency_features(tables["architectures"], tables["complexity"])
    predicted = models["c0ffee00c0ffee00"].predict(features)["decode_ms"]
    # The invented times scatter by a factor of 0.8 to 1.3.
    assert (predicted[medians.index] / medians).between(0.6, 1.6).all()


def test_features_are_of_the_decoder(tables: dict[str, pd.DataFrame]) -> None:
    features = latency_features(tables["architectures"], tables["complexity"])
    costs = tables["architectures"].set_index("arch_id")["kmacs_per_px"]
    entropy = features["entropy_kmacs"] / costs
    assert entropy.to_numpy() == pytest.approx(0.3)
    assert set(features["coding_steps"]) == {1, 10}


def test_nothing_timed_is_no_model(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path / "out")
    sweep.plan(architectures((32,)))
    assert latency_models(gather(sweep.out)) == ({}, {})
