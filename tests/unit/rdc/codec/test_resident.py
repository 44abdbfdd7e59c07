"""Decoding with arrays that stay on the device: as on the host, to the bit."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jax
import numpy as np
import pytest

from rdc.architectures import build
from rdc.codec import BitstreamError, LearnedCodec, resident
from rdc.codec.container import pack, unpack
from rdc.codec.symbols import PARITY_BYTES
from rdc.data.images import read_image
from tests.architectures import small

SPECS = {
    "scale_hyperprior": small("conv", "scale_hyperprior", "conv"),
    "charm2020": small("conv", "charm2020", "conv"),
    "dual_spatial_prior": small("conv", "dual_spatial_prior", "conv"),
}
CANVAS_PX = 128  # that the images fill


@pytest.fixture(scope="module")
def images(photographs: dict[str, list[Path]]) -> list[np.ndarray]:
    photograph = read_image(photographs["eval"][0])[50:178, 100:228]
    assert photograph.shape == (CANVAS_PX, CANVAS_PX, 3)
    return [photograph, 255 - photograph]


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[np.ndarray]]:
    """Arrays stay on the device, and what goes to it or comes from it is kept here."""
    found: dict[str, list] = {"up": [], "down": []}
    for name, arrays in found.items():
        move = getattr(resident, name)

        def spy(values, move=move, arrays=arrays):
            arrays.append(values)
            return move(values)

        monkeypatch.setattr(resident, name, spy)
    monkeypatch.setattr(resident, "is_worthwhile", lambda: True)
    return found


@cache
def codec_of(name: str, numerics: str) -> LearnedCodec:
    """Of random weights whose latents are not all zero."""
    model = build(SPECS[name], seed=1)
    kernel = model.analysis_transform.layers[-1].kernel
    kernel.set_value(kernel[...] * 200)
    return LearnedCodec.of(model, numerics=numerics)


@pytest.mark.parametrize(
    ("name", "numerics"),
    [
        ("scale_hyperprior", "native"),
        ("charm2020", "native"),
        ("charm2020", "exact"),
        ("dual_spatial_prior", "native"),
    ],
)
def test_latents_and_pixels_are_those_of_the_encoder(
    name: str, numerics: str, images: list[np.ndarray], moved: dict[str, list]
) -> None:
    codec = codec_of(name, numerics)
    encoded = codec.encoded(images[0])
    assert encoded.y_hat is not None
    decoded = codec.decoded(encoded.data)
    assert moved["up"]
    np.testing.assert_array_equal(decoded.y_hat, encoded.y_hat)
    assert len(np.unique(np.rint(encoded.y_hat))) > 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resident, "is_worthwhile", lambda: False)
        on_the_host = codec.decode(encoded.data)
    np.testing.assert_array_equal(decoded.x_hat, on_the_host)


def test_a_byte_a_symbol_goes_either_way(
    images: list[np.ndarray], moved: dict[str, list]
) -> None:
    """Of two images together, and nothing else goes by itself."""
    codec = LearnedCodec.load("light")
    streams = [codec.encode(x, rate=2.5) for x in images]
    with jax.transfer_guard("disallow"):
        decoded = codec.decode_batch(streams)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resident, "is_worthwhile", lambda: False)
        on_the_host = codec.decode_batch(streams)
    np.testing.assert_array_equal(decoded, on_the_host)
    y, z = (np.prod(s) for s in codec.model.spec.latent_shapes(CANVAS_PX, CANVAS_PX))
    steps = len(codec.model.steps)
    assert {a.dtype.itemsize for a in moved["up"]} == {1}
    assert sum(a.nbytes for a in moved["up"]) == 2 * (y + z)
    assert sum(a.nbytes for a in moved["down"]) == 2 * (y + PARITY_BYTES * steps)


@pytest.mark.parametrize(
    ("most", "size"), [(127, 1), (-128, 1), (128, 2), (-(2**15), 2), (2**15, 4)]
)
def test_symbols_take_the_bytes_that_hold_them(most: int, size: int) -> None:
    symbols = np.array([0, 1, most], np.int32)
    narrow = resident.narrowed(symbols)
    assert narrow.dtype.itemsize == size
    np.testing.assert_array_equal(narrow, symbols)


def test_parameters_of_another_device_are_refused(
    images: list[np.ndarray], moved: dict[str, list]
) -> None:
    codec = codec_of("charm2020", "native")
    header, payload = unpack(codec.encode(images[0]))
    for step in range(len(codec.model.steps)):
        changed = bytearray(payload)
        changed[PARITY_BYTES * step] ^= 1
        with pytest.raises(BitstreamError, match=f"coding step {step}"):
            codec.decode(pack(header, bytes(changed)))
    assert moved["down"]
