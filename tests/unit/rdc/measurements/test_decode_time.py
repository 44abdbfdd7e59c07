"""Decode times: of the codec's own programs, in stages, warmed up, every repeat."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rdc.architectures import build
from rdc.codec import ClassicalCodec, LearnedCodec
from rdc.data.photograph import photograph
from rdc.errors import ConfigError
from rdc.measurements import time_components, time_decoder
from rdc.measurements.conditions import Anchor
from rdc.measurements.rows import STAGES
from rdc.specs.classical import ClassicalSpec
from rdc.specs.timing import BenchmarkSpec
from tests.architectures import ALL

SPEC = BenchmarkSpec(height_px=64, width_px=128, warmup=2, repeats=3)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return photograph("bundled:eval", SPEC.height_px, SPEC.width_px)


@pytest.fixture(scope="module")
def jpeg() -> ClassicalCodec:
    return ClassicalCodec(ClassicalSpec(name="jpeg"))


@pytest.fixture(scope="module", params=["native", "exact"])
def learned(request: pytest.FixtureRequest) -> LearnedCodec:
    model = build(ALL["conv-charm-conv"], seed=1)
    return LearnedCodec.of(model, numerics=request.param)


def test_stages_of_a_learned_codec(learned: LearnedCodec, image: np.ndarray) -> None:
    rows = time_decoder(learned, SPEC, image, dataset="photographs")
    assert [(row.stage, row.repeat) for row in rows] == [
        (stage, repeat) for stage in STAGES for repeat in range(SPEC.repeats)
    ]
    for row in rows:
        assert row.decode_ms > 0
        assert (row.height_px, row.width_px) == (64, 128)
        assert (row.dataset, row.precision) == ("photographs", "highest")
        assert row.cpu_threads == len(os.sched_getaffinity(0))
        assert row.visible_devices >= 1
        assert row.load_average is not None
        assert 1 <= row.blocks <= SPEC.attempts
        assert row.blocks == SPEC.attempts or abs(row.drift) <= SPEC.max_drift
        assert row.matrix_gflops > 0
        assert row.memory_gb_per_s > 0
        assert row.others_busy_cores >= 0


def test_the_roofline_is_of_the_network(
    learned: LearnedCodec, jpeg: ClassicalCodec, image: np.ndarray
) -> None:
    network, coding = (
        time_decoder(learned, SPEC, image, stages=(stage,))[0] for stage in STAGES[:2]
    )
    assert coding.roofline_ms is coding.memory_bound is None
    cost = learned.cost(*image.shape[:2])
    assert cost is not None
    flops = cost.kflops_per_px * 1e3 * 64 * 128
    assert network.roofline_ms >= flops / network.matrix_gflops / 1e6 * (1 - 1e-9)
    moved = sum(p.bytes for p in cost.decoder_products)
    assert network.roofline_ms >= moved / network.memory_gb_per_s / 1e6 * (1 - 1e-9)
    assert 0 <= network.memory_bound <= 1
    assert time_decoder(jpeg, SPEC, image)[0].roofline_ms is None


def test_what_is_timed_is_the_decoder(
    learned: LearnedCodec, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call of the stages that give pixels gives those of `decode`."""
    seen: dict[str, list] = {stage: [] for stage in STAGES}
    real = learned.decoding_stages

    def watched(streams: Sequence[bytes]) -> dict[str, Callable[[], Any]]:
        def watch(stage: str, run: Callable[[], Any]) -> Callable[[], Any]:
            return lambda: seen[stage].append(run())

        return {stage: watch(stage, run) for stage, run in real(streams).items()}

    monkeypatch.setattr(learned, "decoding_stages", watched)
    time_decoder(learned, SPEC, image)
    expected = learned.decode(learned.encode(image))
    for stage, calls in seen.items():
        blocks, rest = divmod(len(calls) - SPEC.warmup, SPEC.repeats)
        assert 1 <= blocks <= SPEC.attempts
        assert rest == 0
        if stage != "entropy_coding":
            for (x_hat,) in calls:
                np.testing.assert_array_equal(x_hat, expected)


def test_of_a_batch_all_images_are_decoded(
    jpeg: ClassicalCodec, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    real = jpeg.decode_batch
    monkeypatch.setattr(jpeg, "decode_batch", lambda s: sizes.append(len(s)) or real(s))
    rows = time_decoder(jpeg, replace(SPEC, batch_size=3), image)
    assert {row.batch_size for row in rows} == {3}
    assert set(sizes) == {3}


def test_parts_of_encoder_and_decoder(
    learned: LearnedCodec, jpeg: ClassicalCodec, image: np.ndarray
) -> None:
    rows = time_components(learned, SPEC, image)
    steps = [f"coding_step_{i}" for i in range(1, 1 + len(learned.model.steps))]
    assert list(dict.fromkeys((row.side, row.component) for row in rows)) == [
        *(("encode", "end_to_end"), ("encode", "analysis_transform")),
        *(("encode", "hyper_analysis"), ("decode", "hyper_synthesis")),
        *(("decode", step) for step in steps),
        ("decode", "synthesis_transform"),
    ]
    assert all(row.milliseconds > 0 for row in rows)
    assert {row.component for row in time_components(jpeg, SPEC, image)} == {
        "end_to_end"
    }


def test_parts_are_given_what_decoding_gives_them(
    learned: LearnedCodec, image: np.ndarray
) -> None:
    """The last part, of what the steps before it made, gives the decoded pixels."""
    parts = learned.components(image)
    data = learned.encode(image)
    expected = learned.decoded(data)
    pixels = parts["decode", "synthesis_transform"]()
    np.testing.assert_array_equal(pixels, expected.x_hat)
    last = np.float32(parts["decode", f"coding_step_{len(learned.model.steps)}"]())[0]
    np.testing.assert_array_equal(last, expected.y_hat[..., -last.shape[-1] :])


def test_precisions_that_the_device_has_not(learned: LearnedCodec) -> None:
    spec = replace(SPEC, precision="bfloat16")
    with pytest.raises(ConfigError, match="on cpu, products are computed in highest"):
        time_decoder(learned, spec)


def test_a_block_that_drifts_is_measured_again(
    jpeg: ClassicalCodec, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that becomes slower with every call of the anchor."""
    calls = itertools.count(1)
    monkeypatch.setattr(Anchor, "milliseconds", lambda _: 1.5 ** next(calls))
    rows = time_decoder(jpeg, SPEC, image)
    assert {row.blocks for row in rows} == {SPEC.attempts}
    assert {round(row.drift, 9) for row in rows} == {0.5}
    monkeypatch.setattr(Anchor, "milliseconds", lambda _: 1.0)
    assert {row.blocks for row in time_decoder(jpeg, SPEC, image)} == {1}


def test_random_weights_are_timed_in_the_network_alone(learned: LearnedCodec) -> None:
    rows = time_decoder(learned, SPEC, stages=("network",))
    assert [row.stage for row in rows] == ["network"] * 3
    assert {row.dataset for row in rows} == {None}
    assert {(row.height_px, row.width_px) for row in rows} == {(64, 128)}


def test_classical_codecs_have_one_stage(
    jpeg: ClassicalCodec, image: np.ndarray
) -> None:
    rows = time_decoder(jpeg, SPEC, image, rate=3)
    assert [row.stage for row in rows] == ["end_to_end"] * 3
    with pytest.raises(ConfigError, match=r"got 'network'\. Known: end_to_end"):
        time_decoder(jpeg, SPEC, image, stages=("network",))
