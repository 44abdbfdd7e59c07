"""Photographs changed a little to make more bytes, as EntropyR changes them.

Projected gradient ascent (Madry et al. 2018) on the bits that a model expects, within
a few levels of every pixel; what counts is measured in real bytes before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdc.codec import LearnedCodec
from rdc.errors import ConfigError, DataError
from rdc.model import CodingNetworks, run_coding_steps
from rdc.ops.gaussian import bounded
from rdc.ops.quantization import ste_round
from rdc.split.base import network_input
from rdc.split.latents import LatentMethod

# Bits that are expected of f32[1,H,W,3] in [0, 1]: f32[], with a gradient.
Bits = Callable[[jax.Array], jax.Array]
LEVELS = (2, 4, 8)  # of 255, by which a pixel may change
_STEP = 2.5  # all steps together, in units of the largest change


@dataclass(frozen=True, kw_only=True)
class Inflation:
    """What one strength of the attack did to some photographs.

    Attributes:
      eps_255: levels by which a pixel's values changed at most.
      bytes_before, bytes_after: means over whole streams.
      increase: bytes_after / bytes_before - 1.
    """

    eps_255: int
    steps: int
    image_count: int
    bytes_before: float
    bytes_after: float
    increase: float


def inflations(
    encode: Callable[[np.ndarray], bytes],
    bits: Bits,
    images: Sequence[np.ndarray],
    levels: Sequence[int] = LEVELS,
    steps: int = 20,
) -> list[Inflation]:
    """One row for each of `levels`.

    Args:
      encode: a method's or a codec's, u8[H,W,3] -> stream.
      bits: of the same, see `method_bits` and `codec_bits`.

    Raises:
      ConfigError: no steps, or levels out of 1 to 255.
      DataError: no images.
    """
    if steps < 1 or not all(1 <= level <= 255 for level in levels):
        raise ConfigError(
            "an attack has steps, and changes pixels by 1 to 255 levels",
            f"{steps} steps, {', '.join(map(str, levels))} levels",
        )
    if not images:
        raise DataError("an attack is measured on at least one photograph", 0)
    ascent = jax.jit(jax.value_and_grad(bits))
    before = float(np.mean([len(encode(image)) for image in images]))
    rows = []
    for level in levels:
        attacked = [inflated(image, ascent, level, steps) for image in images]
        after = float(np.mean([len(encode(image)) for image in attacked]))
        row = Inflation(
            eps_255=level,
            steps=steps,
            image_count=len(images),
            bytes_before=before,
            bytes_after=after,
            increase=after / before - 1,
        )
        rows.append(row)
    return rows


def inflated(
    image: np.ndarray,
    ascent: Callable[[Any], tuple[Any, Any]],
    eps_255: int,
    steps: int,
) -> np.ndarray:
    """The photograph of most bits that was met, u8[H,W,3].

    Args:
      ascent: (bits, gradient) of f32[1,H,W,3].
    """
    original = network_input(image)
    eps = eps_255 / 255
    least, largest = np.maximum(original - eps, 0), np.minimum(original + eps, 1)
    random = np.random.default_rng(0)
    start = original + random.uniform(-eps, eps, original.shape).astype(np.float32)
    x = np.clip(start, least, largest)
    found, most = original, float(ascent(original)[0])
    for _ in range(steps):
        bits, gradient = ascent(x)
        if bits > most:
            found, most = x, float(bits)
        move = np.float32(_STEP * eps / steps) * np.sign(np.asarray(gradient))
        x = np.clip(x + move, least, largest)
    if ascent(x)[0] > most:
        found = x
    return np.rint(found[0] * 255).astype(np.uint8)


def method_bits(method: LatentMethod) -> Bits:
    """Of a method with a prior."""

    def bits(x: jax.Array) -> jax.Array:
        y = method.encoder(x)
        networks = method.prior.sized(*y.shape[1:3])
        return _expected(networks, method.prior.latents(y))

    return bits


def codec_bits(codec: LearnedCodec, rate: float = 0) -> Bits:
    """Of a learned codec at one of its rates."""
    model = codec.model

    def bits(x: jax.Array) -> jax.Array:
        height, width = x.shape[1:3]
        rows, columns = model.spec.padded_px(height, width)
        pads = [(0, 0), (0, rows - height), (0, columns - width), (0, 0)]
        latents = {"y": model.latents(jnp.pad(x, pads, mode="edge"), rate)}
        if model.hyper_analysis is not None:
            latents["z"] = model.hyperlatents(latents["y"])
        return _expected(model, latents, rate)

    return bits


def _expected(
    networks: CodingNetworks, latents: dict[str, jax.Array], rate: float = 0
) -> jax.Array:
    """Bits of latents that are not rounded: at a whole symbol of likely value, the
    bits have no gradient.
    """
    total = jnp.float32(0)

    def code(step: Any, parameters: Any) -> jax.Array:
        nonlocal total
        symbols = step.symbols(step.select(latents[step.latent]), parameters)
        total += jnp.sum(bounded(step.bits(symbols, parameters)))
        return step.values(ste_round(symbols), parameters)

    run_coding_steps(networks, code, rate)
    return total
