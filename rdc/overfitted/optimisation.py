"""The encoder's search: networks and latents of one image, for one lambda."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rdc.errors import PreemptedError
from rdc.overfitted.entropy_network import total_bits
from rdc.overfitted.integers import MAX_LATENT
from rdc.overfitted.parameters import initial
from rdc.overfitted.pyramid import brightness_pyramid
from rdc.overfitted.saved_search import SavedSearch
from rdc.overfitted.schedule import Schedule, Settings
from rdc.overfitted.spec import OverfittedSpec
from rdc.overfitted.surrogates import soft_rounded_with_noise
from rdc.overfitted.synthesis import reconstructed, squared_error
from rdc.system.stop_request import stop_request

_log = logging.getLogger(__name__)

Networks = Mapping[str, Any]
Latents = list[Any]
Progress = Callable[[int, float], None]  # (steps done, RD loss without network bits)

# The range in which latents move; symbols keep away from the decoder's limit.
_REACH_OF_LATENTS = float(MAX_LATENT // 2)


class Fit(NamedTuple):
    """What is optimised: networks, latents f32[h,w] (the finest first)."""

    networks: Any
    latents: Any


@dataclass(frozen=True)
class Losses:
    """Of rounded latents and networks as they are.

    Attributes:
      bits: of the latents.
      mse_255: of 8-bit pixels.
    """

    bits: float
    mse_255: float


class Problem:
    """One image; its compiled functions are shared by images of its size.

    Args:
      x: u8[H,W,3].
    """

    def __init__(self, spec: OverfittedSpec, x: np.ndarray):
        self.spec = spec
        self.height_px, self.width_px = x.shape[:2]
        self.shapes = spec.grid_shapes(*x.shape[:2])
        self._x = jnp.asarray(x.transpose(2, 0, 1), jnp.float32) / 255
        self._functions = _functions(spec, *x.shape[:2])

    @property
    def pixels(self) -> int:
        return self.height_px * self.width_px

    def bits(self, networks: Networks, latents: Latents) -> float:
        """Estimated, of whole latents."""
        own = {n: v for n, v in networks.items() if n.startswith("entropy")}
        return float(self._functions.bits(own, latents))

    def mse_255(self, networks: Networks, latents: Latents) -> float:
        """Of the rounded and clipped pixels of whole latents."""
        own = {n: v for n, v in networks.items() if not n.startswith("entropy")}
        return float(self._functions.mse_255(own, latents, self._x))

    def loss(self, fit: Fit, lmbda: float) -> float:
        """bpp + lmbda mse_255 of a fit with rounded latents; networks not counted."""
        latents = rounded(fit.latents)
        bpp = self.bits(fit.networks, latents) / self.pixels
        return bpp + lmbda * self.mse_255(fit.networks, latents)

    def optimised(
        self,
        lmbda: float,
        schedule: Schedule,
        start: Fit | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        saved: SavedSearch | None = None,
    ) -> Fit:
        """The best fit met on the way, by the true loss.

        Args:
          start: where to begin; None: random networks, and the image's brightness.
          progress: called at each look at the true loss.
          saved: of an earlier process, to go on from, and of this one.

        Raises:
          PreemptedError: SIGTERM came; the state was saved, where `saved` is given.
        """
        fit = self.beginning(initial(self.spec, seed)) if start is None else start
        fit = jax.tree.map(jnp.array, fit)  # a copy: steps reuse its memory
        states = _ADAM.init(fit)
        best, least, first = jax.tree.map(jnp.array, fit), float("inf"), 0
        if saved is not None:
            found = saved.found((fit, states, best, least))
            if found is not None:
                first, (fit, states, best, least) = found
                _log.info("search resumed at step %d of %d", first, schedule.steps)
        key = jax.random.key(seed)
        bank = jax.random.normal(key, (2 * self.shapes[0][0] + 64, self.shapes[0][1]))
        with stop_request() as stop:
            for step in range(first, schedule.steps):
                now = schedule.at(step)
                if step == schedule.soft_steps:
                    # Whole latents pass soft rounding as they are, and now rest.
                    whole = Fit(best.networks, rounded(best.latents))
                    fit = jax.tree.map(jnp.array, whole)
                    states = _ADAM.init(fit)
                draws = np.random.default_rng((seed, step))
                offsets = draws.integers(0, self.shapes[0][0] + 64, len(self.shapes))
                numbers = _numbers(now), np.float32(lmbda)
                fit, states = self._functions.step(
                    fit, states, self._x, bank, offsets, *numbers
                )
                if schedule.is_evaluated(step):
                    loss = self.loss(fit, lmbda)
                    if loss < least:
                        best, least = jax.tree.map(jnp.array, fit), loss
                    _log.info(
                        "search: %d of %d steps, RD loss %.4f",
                        *(step + 1, schedule.steps, loss),
                    )
                    if progress is not None:
                        progress(step + 1, loss)
                ends = stop.is_set() and step + 1 < schedule.steps
                if saved is not None and (ends or saved.is_due()):
                    saved.write(step + 1, (fit, states, best, least))
                if ends:
                    raise PreemptedError(
                        "a search runs to its last step",
                        f"SIGTERM at step {step + 1}",
                        "the same command goes on there" if saved else "",
                    )
        return jax.tree.map(jnp.asarray, best)

    def beginning(self, networks: Networks) -> Fit:
        """These networks, and latents that show the image's brightness."""
        networks = {n: jnp.asarray(v) for n, v in networks.items()}
        return Fit(networks, self._functions.pyramid(networks, self._x))


def rounded(latents: Latents) -> Latents:
    """Whole latents."""
    return [jnp.round(grid) for grid in latents]


_ADAM = optax.scale_by_adam()


def _moved(values: Any, directions: Any, rate: jax.Array) -> Any:
    return jax.tree.map(lambda v, d: v - rate * d, values, directions)


class _Functions(NamedTuple):
    step: Any
    bits: Any
    mse_255: Any
    pyramid: Any


@cache
def _functions(spec: OverfittedSpec, height_px: int, width_px: int) -> _Functions:
    pixels = height_px * width_px

    def loss(fit: Fit, shown: Latents, x: jax.Array, lmbda: jax.Array) -> jax.Array:
        bpp = total_bits(fit.networks, shown, spec) / pixels
        error = squared_error(fit.networks, shown, x, spec)
        return bpp + lmbda * (255**2 / (3 * pixels)) * error

    def soft_loss(
        fit: Fit, x: jax.Array, noises: Latents, numbers: jax.Array, lmbda: jax.Array
    ) -> jax.Array:
        shown = [
            soft_rounded_with_noise(y, numbers[1] * noise, numbers[0])
            for y, noise in zip(fit.latents, noises, strict=True)
        ]
        shown = list(jax.lax.optimization_barrier(tuple(shown)))
        return loss(fit, shown, x, lmbda)

    def step(
        fit: Fit,
        states: optax.OptState,
        x: jax.Array,
        bank: jax.Array,
        offsets: jax.Array,
        numbers: jax.Array,
        lmbda: jax.Array,
    ) -> tuple[Fit, optax.OptState]:
        noises = [
            jax.lax.dynamic_slice(bank, (offsets[k], 0), y.shape)
            for k, y in enumerate(fit.latents)
        ]
        gradient = jax.grad(soft_loss)(fit, x, noises, numbers, lmbda)
        directions, states = _ADAM.update(gradient, states)
        networks = _moved(fit.networks, directions.networks, numbers[2])
        latents = _moved(fit.latents, directions.latents, numbers[3])
        limited = [jnp.clip(y, -_REACH_OF_LATENTS, _REACH_OF_LATENTS) for y in latents]
        return Fit(networks, limited), states

    def mse_255(networks: Networks, latents: Latents, x: jax.Array) -> jax.Array:
        x_hat = reconstructed(networks, latents, spec)
        levels = jnp.clip(jnp.round(255 * x_hat), 0, 255)
        return jnp.mean(jnp.square(levels - 255 * x))

    return _Functions(
        step=jax.jit(step, donate_argnums=(0, 1)),
        bits=jax.jit(lambda networks, latents: total_bits(networks, latents, spec)),
        mse_255=jax.jit(mse_255),
        pyramid=jax.jit(lambda n, x: brightness_pyramid(n, x, spec.grids)),
    )


def _numbers(settings: Settings) -> np.ndarray:
    return np.array(
        [
            settings.temperature,
            settings.noise,
            settings.network_rate,
            settings.latent_rate,
        ],
        np.float32,
    )
