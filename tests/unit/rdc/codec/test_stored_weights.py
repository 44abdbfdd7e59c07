"""Weights as they are stored: what comes back, and how many bytes it takes."""

from __future__ import annotations

import numpy as np
import pytest

from rdc.codec.stored_weights import SMALL, STEPS_PER_RMS, packed, unpacked
from rdc.specs.checkpoint import MODEL_DTYPES
from rdc.system.arrays import npz_bytes

MAIN = "synthesis_transform.layers.3.kernel"
DENSE = "analysis_transform.layers.2.dense.kernel"
BESIDE = "synthesis_transform.layers.4.trunk.layers.0.kernel"
HYPER = "hyper_synthesis.layers.0.kernel"


def weights() -> dict[str, np.ndarray]:
    """Outputs of very different sizes, as principal components leave them."""
    rng = np.random.default_rng(0)
    sizes = 10.0 ** rng.uniform(-3, 1, 48)
    drawn = {
        name: (sizes * rng.standard_t(3, (5, 5, 32, 48))).astype(np.float32)
        for name in (MAIN, BESIDE, HYPER)
    }
    drawn[DENSE] = (sizes * rng.standard_t(3, (256, 48))).astype(np.float32)
    drawn["bias"] = np.array([560.97, -560.98], np.float32)
    return drawn


@pytest.mark.parametrize("dtype", MODEL_DTYPES)
def test_small_arrays_come_back_to_the_bit(dtype: str) -> None:
    given = {"bias": weights()["bias"], "odd": np.full(SMALL - 1, 0.1, np.float32)}
    back = unpacked(packed(given, dtype))
    for name, values in given.items():
        assert back[name].dtype == np.float32
        np.testing.assert_array_equal(back[name], values)


def test_bfloat16_is_within_its_precision_and_float32_exact() -> None:
    given = weights()
    for dtype, relative in (("bfloat16", 2**-8), ("float32", 0.0)):
        back = unpacked(packed(given, dtype))
        assert back.keys() == given.keys()
        for name, values in given.items():
            np.testing.assert_allclose(back[name], values, rtol=relative, atol=0)


@pytest.mark.parametrize(
    ("name", "place"),
    [(MAIN, "main"), (DENSE, "main"), (BESIDE, "beside"), (HYPER, "beside")],
)
def test_compact_is_within_half_a_step_of_each_output(name: str, place: str) -> None:
    values = weights()[name]
    others = tuple(range(values.ndim - 1))
    step = np.sqrt(np.square(values).mean(others)) / STEPS_PER_RMS[place]
    error = np.abs(unpacked(packed({name: values}, "compact"))[name] - values)
    assert (error <= 0.5001 * step).all()
    assert error.max(others) == pytest.approx(0.5 * step, rel=0.1)


def test_outputs_of_zeros_and_of_one_large_weight() -> None:
    values = np.zeros((SMALL, 3), np.float32)
    values[7, 1] = -3e5
    back = unpacked(packed({MAIN: values}, "compact"))[MAIN]
    assert not back[:, [0, 2]].any()
    assert back[7, 1] == pytest.approx(-3e5, rel=0.01)


def test_compact_is_a_fifth_and_bfloat16_half() -> None:
    rng = np.random.default_rng(0)
    given = {
        name: rng.normal(size=(5, 5, 64, 96)).astype(np.float32)
        for name in (MAIN, HYPER)
    }
    sizes = {dtype: len(npz_bytes(packed(given, dtype))) for dtype in MODEL_DTYPES}
    assert sizes["bfloat16"] < 0.5 * sizes["float32"]
    assert sizes["compact"] < 0.25 * sizes["float32"]
