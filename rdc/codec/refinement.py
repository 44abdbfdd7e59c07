"""Encoder effort: the latents of the image at hand, improved by gradient steps.

An analysis transform has learned good latents for all images, not the best of this
one. The steps descend the loss that the model was trained for, of one image:

    y -> soft rounding of y - mean -> y_hat -> x_hat
                 |                               |
       bits of the two symbols            distortion from x
                 +------ loss = bpp + lmbda * distortion

Soft rounding is that of stochastic Gumbel annealing (Yang, Bamler & Mandt 2020, arXiv
2006.04240, section 3.2): a weight between the integers below and above, which hardens
as the temperature falls. Two changes (docs/decisions/022-encoder-effort.md): the rate
is the mean of the bits of the two integers, not the bits of their mean, and there is
half the noise or none. z stays as it is.
"""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from rdc.codec.limits import DEFAULT_MEMORY_BYTES
from rdc.complexity.jaxpr_cost import peak_bytes
from rdc.model import CompressionModel, run_coding_steps
from rdc.ops.distortions import DISTORTIONS
from rdc.ops.gaussian import bounded
from rdc.ops.quantization import ste_round
from rdc.specs.coding import MAX_EFFORT

Latents = Mapping[str, np.ndarray]  # f32[1,h,w,C] of y, and of z
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Search:
    """How long to search, and how.

    Attributes:
      noise: amplitude of the Gumbel noise.
      bend: of the temperature's fall in logarithm; 1: even, more: late.
    """

    steps: int
    noise: float
    bend: float


# By effort, from 1 on. Without noise the search is done after some 20 steps; with it,
# many steps still find more: docs/results/effort.md has the figures.
SEARCHES = (
    Search(steps=20, noise=0.0, bend=2.0),
    Search(steps=100, noise=0.5, bend=1.0),
    Search(steps=300, noise=0.5, bend=1.0),
)
assert len(SEARCHES) == MAX_EFFORT
TEMPERATURES = (1.0, 0.1)  # first and last
_ADAM = optax.scale_by_adam(eps=1e-12)  # gradients are of bits per *pixel*: tiny
LEARNING_RATE = 0.1  # of Adam at first, in quantisation steps; falls as a cosine

# Images whose gradients do not fit into memory are refined in windows, which overlap by
# so many padding multiples: their borders are not those of the image.
OVERLAP = 2

SECONDS_BETWEEN_NOTES = 10.0


class _Problem(NamedTuple):
    """One image or window.

    Attributes:
      x: f32[1,H,W,3] in [0,1], not padded.
      z: f32[1,h/4,w/4,C], where there is one.
    """

    x: Any
    z: Any
    rate: float
    lmbda: float


class _Progress:
    """Says now and then how far a search is."""

    def __init__(self, steps: int):
        self._done, self._steps, self._noted = 0, steps, time.monotonic()

    def advance(self) -> None:
        self._done += 1
        if time.monotonic() - self._noted >= SECONDS_BETWEEN_NOTES:
            self._noted = time.monotonic()
            _log.info("search: %d of %d steps", self._done, self._steps)


class Refinement:
    """Refines latents for one model.

    Args:
      distortion: that its lambdas weigh, a name in `rdc.ops.distortions`.
      memory_bytes: what the gradients may take.
    """

    def __init__(
        self,
        model: CompressionModel,
        distortion: str = "mse",
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
    ):
        self._graph, self._state = nnx.split(model)
        self._spec = model.spec
        self._distortion = distortion
        self._memory_bytes = memory_bytes

    def refined(
        self, x: np.ndarray, latents: Latents, rate: float, lmbda: float, effort: int
    ) -> Latents:
        """Latents at less loss than those of the analysis transform, as a rule.

        Args:
          x: u8[H,W,3], not padded.
          latents: of the padded image.
          effort: at least 1.
        """
        pad = self._spec.padding_multiple_px
        y = np.array(latents["y"])
        sizes = [math.ceil(side / pad) for side in x.shape[:2]]
        scale = y.shape[1] // sizes[0]  # positions of y per padding multiple
        search = SEARCHES[effort - 1]
        axes = [list(_windows(size, self._window)) for size in sizes]
        progress = _Progress(search.steps * len(axes[0]) * len(axes[1]))
        for (rows, kept_rows), (columns, kept_columns) in itertools.product(*axes):
            window = {
                name: part[:, *_scaled(part.shape[1] // sizes[0], rows, columns)]
                for name, part in {**latents, "y": y}.items()
            }
            part = x[None, *_scaled(pad, rows, columns)].astype(np.float32) / 255
            problem = _Problem(part, window.get("z"), rate, lmbda)
            found = self._search(problem, search, window["y"], progress)
            inside = _shifted(kept_rows, rows), _shifted(kept_columns, columns)
            kept = found[:, *_scaled(scale, *inside)]
            y[:, *_scaled(scale, kept_rows, kept_columns)] = kept
        return {**latents, "y": y}

    def _search(
        self, problem: _Problem, search: Search, y: np.ndarray, progress: _Progress
    ) -> np.ndarray:
        """y f32[1,h,w,C] after all steps."""
        present = jnp.array(y)
        adam = _ADAM.init(present)
        # Not in a compiled loop: on CPU, XLA's convolutions inside of one are 30 times
        # slower.
        for i in range(search.steps):
            settings = i, search.steps, search.noise, search.bend
            fixed = self._graph, self._distortion
            present, adam = _step(
                *fixed, present, adam, self._state, problem, *settings
            )
            present.block_until_ready()
            progress.advance()
        return np.asarray(present)

    @cached_property
    def _window(self) -> int:
        """Side of the largest window, in padding multiples.

        Each primitive on its own: on CPU, refining 1024 x 1536 pixels with `light` made
        the process 487 B/px larger, of 533 counted.
        """
        pad = self._spec.padding_multiple_px
        side = (OVERLAP + 1) * pad  # whatever the size: the figure is per pixel
        shapes = self._spec.latent_shapes(side, side)
        y, z = (s and jax.ShapeDtypeStruct((1, *s), np.float32) for s in shapes)
        x = jax.ShapeDtypeStruct((1, side, side, 3), np.float32)
        problem: Any = (x, z, 0.0, 0.01)
        gradient = jax.grad(partial(_loss, self._graph, self._distortion))
        settings = jax.random.key(0), 1.0, 0.5
        trace = jax.make_jaxpr(gradient)(y, self._state, problem, *settings)
        bytes_per_px = peak_bytes(trace.jaxpr) / side**2
        return max(int((self._memory_bytes / bytes_per_px) ** 0.5 / pad), OVERLAP + 1)


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3))
def _step(
    graph: nnx.GraphDef,
    distortion: str,
    y: jax.Array,
    adam: optax.OptState,
    state: Any,
    problem: _Problem,
    i: int,
    steps: int,
    noise: float,
    bend: float,
) -> tuple[jax.Array, optax.OptState]:
    """(y, state of Adam) after one step; i from 0."""
    progress = i / jnp.maximum(steps - 1, 1)
    first, last = TEMPERATURES
    temperature = first * (last / first) ** progress**bend
    learning_rate = LEARNING_RATE * 0.5 * (1 + jnp.cos(jnp.pi * progress))
    key = jax.random.fold_in(jax.random.key(0), i)
    gradient = jax.grad(_loss, argnums=2)(
        graph, distortion, y, state, problem, key, temperature, noise
    )
    direction, adam = _ADAM.update(gradient, adam)
    gains = nnx.merge(graph, state).step_gains
    if gains is not None:  # steps of y are as large as those of its quantisation
        learning_rate *= jnp.exp(-gains.at(problem.rate).gain)
    return y - learning_rate * direction, adam


def _loss(
    graph: nnx.GraphDef,
    distortion: str,
    y: jax.Array,
    state: Any,
    problem: _Problem,
    key: jax.Array,
    temperature: float,
    noise: float,
) -> jax.Array:
    """bpp + lmbda * distortion, where y is rounded softly."""
    model = nnx.merge(graph, state)
    x, z, rate, lmbda = problem
    bits, keys = jnp.float32(0), key

    def code(step: Any, parameters: Any) -> jax.Array:
        nonlocal bits, keys
        if step.latent == "z":
            return step.values(jnp.round(step.symbols(z, parameters)), parameters)
        if parameters is not None:  # the coder's tables are of whole indices
            index = ste_round(parameters.scale_index)
            parameters = parameters._replace(scale_index=index)
        keys, own = jax.random.split(keys)
        symbols = step.symbols(step.select(y), parameters)
        gumbel = noise * jax.random.logistic(own, symbols.shape)
        below, share = soft_round(symbols, temperature, gumbel)
        for whole, weight in ((below, 1 - share), (below + 1, share)):
            bits += jnp.sum(weight * bounded(step.bits(whole, parameters)))
        return step.values(below + share, parameters)

    y_hat = run_coding_steps(model, code, rate)
    x_hat = jnp.clip(model.reconstruction(y_hat, rate).astype(jnp.float32), 0, 1)
    height, width = x.shape[1:3]
    error = DISTORTIONS[distortion].function(x, x_hat[:, :height, :width])
    return bits / (height * width) + lmbda * error[0]


def soft_round(
    x: jax.Array, temperature: float, noise: jax.Array | float = 0.0
) -> tuple[jax.Array, jax.Array]:
    """The integer below, and the weight in (0,1) of the one above.

    Args:
      noise: difference of two Gumbel variables, which is logistic, for a random
        weight.
    """
    below = jax.lax.stop_gradient(jnp.floor(x))
    share = jnp.clip(x - below, 1e-5, 1 - 1e-5)
    logit = (jnp.arctanh(share) - jnp.arctanh(1 - share)) / temperature
    return below, jax.nn.sigmoid((logit + noise) / temperature)


def _windows(size: int, largest: int) -> Iterator[tuple[slice, slice]]:
    """(window, what is kept of it) along one axis; windows are of one length."""
    length = min(size, largest)
    for start in range(0, max(size - OVERLAP, 1), max(length - OVERLAP, 1)):
        start = min(start, size - length)
        end = start + length
        margin = OVERLAP // 2
        first = start + margin if start > 0 else 0
        last = end - margin if end < size else size
        yield slice(start, end), slice(first, last)


def _scaled(factor: int, *slices: slice) -> tuple[slice, ...]:
    return tuple(slice(s.start * factor, s.stop * factor) for s in slices)


def _shifted(kept: slice, window: slice) -> slice:
    return slice(kept.start - window.start, kept.stop - window.start)
