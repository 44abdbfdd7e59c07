"""The decoder as one program: the same as the codec's programs in turn."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from rdc.architectures import build
from rdc.codec import LearnedCodec
from rdc.compiler import tpu
from rdc.compiler.decoder import COMPONENTS, decode, decoding_program
from rdc.entropy_coders.coders import CODERS
from rdc.entropy_coders.range_coder import RangeCoder, RangeEncoder
from rdc.errors import ConfigError
from tests.architectures import small

SPECS = {
    "charm": small("conv", "charm", "conv"),
    "factorized": small("conv", "factorized", None),
}


class KeptSymbols(RangeCoder):
    """Keeps what the encoder writes, part by part."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []

    def encoder(self) -> RangeEncoder:
        encoder = super().encoder()
        put = encoder.put

        def kept(symbols: np.ndarray, *others: Any) -> None:
            self.parts.append(np.array(symbols))
            put(symbols, *others)

        encoder.put = kept  # type: ignore[method-assign]
        return encoder


@pytest.mark.parametrize("name", SPECS)
def test_it_computes_what_the_codec_does(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptSymbols()
    monkeypatch.setitem(CODERS, "kept", kept)
    model = build(SPECS[name], seed=0)
    codec = LearnedCodec.of(model, coder="kept")
    x = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    expected = codec.decompress(codec.compress(x))

    _, _, shapes = decoding_program(SPECS[name], 60, 90)
    symbols = [
        part.reshape(shape.shape).astype(np.float32)
        for part, shape in zip(kept.parts, shapes, strict=True)
    ]
    found = jax.jit(decode, static_argnums=0)(*nnx.split(model), symbols)
    difference = np.asarray(found)[:60, :90].astype(int) - expected
    assert np.abs(difference).max() <= 1  # rounding: other fusions


def test_its_parts_stand_in_scopes_and_nothing_is_computed_to_know_its_shapes() -> None:
    program, state, symbols = decoding_program(SPECS["charm"], 512, 768)
    assert all(isinstance(s, jax.ShapeDtypeStruct) for s in symbols)
    assert [s.shape for s in symbols] == [(1, 8, 12, 10)] + 4 * [(1, 32, 48, 6)]
    text = jax.jit(program).lower(state, symbols).as_text(debug_info=True)
    for component in COMPONENTS:
        assert f"/{component}/" in text


def test_without_the_compiler_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tpu, "distributions", lambda **_: ())
    with pytest.raises(ConfigError, match="make tpu-compiler"):
        tpu.compiler_version()


def test_jax_names_the_version_of_the_compiler() -> None:
    assert tpu.compiler_requirement().startswith("libtpu==")
