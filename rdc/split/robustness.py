"""Photographs changed a little to make more bytes, as EntropyR changes them.

Projected gradient ascent (Madry et al. 2018) on the bits that a model expects, within
a few levels of every pixel; what counts is measured in real bytes before and after.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdc.codec import LearnedCodec
from rdc.errors import ConfigError
from rdc.model import CodingNetworks, run_coding_steps
from rdc.ops.gaussian import bounded
from rdc.ops.quantization import ste_round
from rdc.split.base import network_input
from rdc.split.latents import LatentMethod

# Bits that are expected of f32[1,H,W,3] in [0, 1]: f32[], with a gradient.
Bits = Callable[[jax.Array], jax.Array]
LEVELS = (2, 4, 8)  # of 255, by which a pixel may change
_STEP = 2.5  # all steps together, in units of the largest change


class Inflated:
    """The photographs of most bits for one model; what was found is remembered.

    Args:
      bits: that the model expects, see `method_bits` and `codec_bits`.

    Raises:
      ConfigError: no steps.
    """

    def __init__(self, bits: Bits, steps: int):
        if steps < 1:
            raise ConfigError("an attack has one step or more", steps)
        self._ascent = jax.jit(jax.value_and_grad(bits))
        self._steps = steps
        self._found: dict[tuple[bytes, int], np.ndarray] = {}

    def __call__(self, image: np.ndarray, eps_255: int) -> np.ndarray:
        """u8[H,W,3] of which no value changed by more than `eps_255`."""
        key = image.tobytes(), eps_255
        if key not in self._found:
            self._found[key] = inflated(image, self._ascent, eps_255, self._steps)
        return self._found[key]


def noisy(image: np.ndarray, eps_255: int) -> np.ndarray:
    """Every value moved by `eps_255`, up or down by chance: an attack's control."""
    random = np.random.default_rng(0)
    move = eps_255 * random.choice([-1, 1], image.shape)
    return np.clip(image + move, 0, 255).astype(np.uint8)


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
