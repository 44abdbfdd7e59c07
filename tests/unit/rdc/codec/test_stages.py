"""The decoder that is timed is the decoder: `decoding_stages` against `decode`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rdc.architectures import build
from rdc.codec import BitstreamError, LearnedCodec, coding
from rdc.codec.networks import (
    CompiledGaussianStep,
    CompiledNetworks,
    CompiledPriorStep,
)
from rdc.codec.numerics import NUMERICS
from rdc.data.images import read_image
from rdc.errors import ConfigError
from rdc.measurements.rows import STAGES
from tests.architectures import COVERING


@pytest.fixture(scope="module")
def x(photographs: dict[str, list[Path]]) -> np.ndarray:
    """With padding in both directions."""
    return read_image(photographs["eval"][0])[50:100, 100:200]


def lively(name: str) -> Any:
    """A model of random weights whose latents are not all zero."""
    model = build(COVERING[name], seed=1)
    for layer in model.analysis_transform.layers[-2:]:
        for part in (layer, getattr(layer, "dense", None)):
            if hasattr(part, "kernel"):
                part.kernel.set_value(part.kernel[...] * 20)
    return model


@pytest.mark.parametrize("numerics", NUMERICS)
@pytest.mark.parametrize("name", COVERING)
def test_stages_give_what_decoding_gives(
    name: str, numerics: str, x: np.ndarray
) -> None:
    codec = LearnedCodec.of(lively(name), numerics=numerics)
    data = codec.encode(x)
    expected = codec.decode(data)
    assert len(np.unique(np.rint(codec.decoded(data).y_hat))) > 3
    stages = codec.decoding_stages([data])
    assert tuple(stages) == STAGES
    for _ in range(2):  # a stage can be repeated
        np.testing.assert_array_equal(stages["network"](), [expected])
        np.testing.assert_array_equal(stages["end_to_end"](), [expected])
        assert stages["entropy_coding"]() is None


@pytest.mark.parametrize("numerics", NUMERICS)
def test_the_timed_programs_are_those_of_the_numerics(
    numerics: str, x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of the others: `exact` times what `exact` computes."""
    adapted: list[str] = []

    def spied(name: str) -> Callable[[Callable], Callable]:
        adapt = NUMERICS[name].adapt

        def spy(function: Callable) -> Callable:
            adapted.append(name)
            return adapt(function)

        return spy

    spies = {k: replace(v, adapt=spied(k)) for k, v in NUMERICS.items()}
    model = lively("elic-charm-swint")
    data = LearnedCodec.of(model, numerics=numerics).encode(x)
    monkeypatch.setattr(coding, "NUMERICS", spies)
    # Programs that are traced for the spies alone; writing would be of the default.
    stages = LearnedCodec.of(model).decoding_stages([data])
    assert set(adapted) == {numerics}
    traced = len(adapted)
    stages["network"]()
    assert len(adapted) == traced  # the same programs: nothing is traced again


def test_the_network_stage_computes_on_the_symbols_of_the_stream(
    x: np.ndarray,
) -> None:
    codec = LearnedCodec.of(lively("elic-mean_scale_hyperprior-conv"))
    one, other = (codec.decoding_stages([codec.encode(v)]) for v in (x, 255 - x))
    assert (one["network"]()[0] != other["network"]()[0]).any()


def test_a_damaged_stream_has_no_stages(x: np.ndarray) -> None:
    codec = LearnedCodec.of(lively("conv-factorized-None"))
    with pytest.raises(BitstreamError):
        codec.decoding_stages([codec.encode(x)[:-1]])


@pytest.fixture(scope="module")
def windows(photographs: dict[str, list[Path]]) -> list[np.ndarray]:
    """Three images of one size."""
    x = read_image(photographs["eval"][0])
    return [x[50 * n : 50 * n + 50, 100:200] for n in range(1, 4)]


@pytest.mark.parametrize(
    "name", ["elic-charm-swint", "elic-mean_scale_hyperprior-conv"]
)
def test_images_are_decoded_together_as_each_by_itself(
    name: str, windows: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = LearnedCodec.of(lively(name))
    streams = [codec.encode(x) for x in windows]
    expected = [codec.decode(data) for data in streams]
    seen = []
    real = CompiledNetworks.run
    monkeypatch.setattr(
        CompiledNetworks,
        "run",
        lambda *arguments: seen.append(real(*arguments)) or seen[-1],
    )
    np.testing.assert_array_equal(codec.decode_batch(streams), expected)
    assert [len(y_hat) for y_hat in seen] == [3]
    stages = codec.decoding_stages(streams)
    np.testing.assert_array_equal(stages["network"](), expected)
    assert stages["entropy_coding"]() is None


def test_of_a_batch_a_damaged_stream_is_refused(windows: list[np.ndarray]) -> None:
    codec = LearnedCodec.of(lively("elic-charm-swint"))
    streams = [codec.encode(x) for x in windows]
    streams[1] = streams[1][:-3] + b"abc"
    with pytest.raises(BitstreamError):
        codec.decode_batch(streams)


def test_streams_of_two_sizes_are_no_batch(windows: list[np.ndarray]) -> None:
    codec = LearnedCodec.of(lively("conv-factorized-None"))
    with pytest.raises(ConfigError, match=r"equal size, rate and numerics.*2 kinds"):
        codec.decode_batch([codec.encode(x) for x in (windows[0], windows[1][:40])])
    with pytest.raises(ConfigError, match="0 kinds of 0 streams"):
        codec.decode_batch([])


def test_bytes_alone_need_no_estimate(
    x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = LearnedCodec.load("light")
    encoded = codec.encoded(x)
    assert encoded.bits_estimated is not None
    monkeypatch.delattr(CompiledPriorStep, "likelihood_bits")
    monkeypatch.delattr(CompiledGaussianStep, "likelihood_bits")
    assert codec.encode(x) == encoded.data
