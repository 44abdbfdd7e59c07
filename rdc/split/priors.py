"""What codes latents between device and server: a density, or a hyperprior over it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.codec.networks import HostParameters
from rdc.codec.numerics import NUMERICS
from rdc.complexity import count_network
from rdc.entropy_models.factorized_prior import FactorizedPrior
from rdc.entropy_models.gaussian_step import GaussianParameters, GaussianStep, RatedStep
from rdc.entropy_models.mean_scale_hyperprior import MeanScaleHyperprior
from rdc.entropy_models.prior_step import PriorStep
from rdc.layers import LeakyRelu, Network, PaddedConv, ParameterFactory
from rdc.model import CodingNetworks, run_coding_steps
from rdc.ops.convolution import upsample
from rdc.ops.quantization import rounding_noise
from rdc.ops.scales import NUM_SCALES

Shape = tuple[int, int, int]  # [h, w, C] of a latent

_SLOPE = 0.01  # PyTorch's default
NUMERICS_NAME = "exact"


class LatentPrior(nnx.Module):
    """A factorised density of y; or of z, from which means and scales of y come.

        y -5x5 s2 p1- LeakyReLU -5x5 s2 p2- z
        z -5x5 up- LeakyReLU -5x5 up- LeakyReLU -5x5- means, scale indices

    Matsubara et al. 2023 (SC2 benchmark) have the networks of the hyperprior so,
    without biases. Theirs fit a y of 4 k - 1 positions a side, which photographs of
    16 k pixels have. Any other y is padded with zeros for z, and what comes back is
    cut to its size.

    Args:
      channels: of y.
      hyper_channels: of z, 16 in the benchmark; None: no z.

    Attributes:
      density: of the latent that is coded first, z or y.
    """

    def __init__(
        self,
        parameters: ParameterFactory,
        channels: int,
        hyper_channels: int | None = None,
    ):
        self.channels = channels
        self.density = FactorizedPrior(parameters, hyper_channels or channels)
        if hyper_channels is None:
            self.hyper_analysis = self.hyper_synthesis = self.step = None
            return
        wide = hyper_channels * 3 // 2
        self.hyper_analysis = Network(
            PaddedConv(parameters, channels, hyper_channels, 5, stride=2, padding=1),
            LeakyRelu(_SLOPE),
            PaddedConv(
                parameters, hyper_channels, hyper_channels, 5, stride=2, padding=2
            ),
        )
        self.hyper_synthesis = Network(
            _OddUpConv(parameters, hyper_channels, hyper_channels),
            LeakyRelu(_SLOPE),
            _OddUpConv(parameters, hyper_channels, wide),
            LeakyRelu(_SLOPE),
            PaddedConv(parameters, wide, 2 * channels, 5),
        )
        (self.step,) = MeanScaleHyperprior().coding_steps(channels, parameters)

    @property
    def coded_first(self) -> Literal["y", "z"]:
        """The latent under `density`."""
        return "y" if self.hyper_analysis is None else "z"

    def latents(self, y: jax.Array) -> dict[str, jax.Array]:
        """All that is coded of y, f32[B,h,w,C], by name."""
        if self.hyper_analysis is None:
            return {"y": y}
        _, height, width, channels = y.shape
        rows, columns, _ = _padded_shape((height, width, channels))
        pads = [(0, 0), (0, rows - height), (0, columns - width), (0, 0)]
        return {"y": y, "z": self.hyper_analysis(jnp.pad(y, pads))}

    def sized(self, height: int, width: int) -> _SizedPrior:
        """For y of this size."""
        return _SizedPrior(self, height, width)

    def shapes(self, y_shape: Shape) -> dict[str, Shape]:
        """Of the latents, by name, from that of y."""
        if self.hyper_analysis is None:
            return {"y": y_shape}
        z = count_network(self.hyper_analysis, _padded_shape(y_shape)).output_shape
        height, width, channels = z
        return {"y": y_shape, "z": (height, width, channels)}

    def macs(self, y_shape: Shape) -> tuple[int, int]:
        """(analysis, synthesis) of the hyperprior; zero without one."""
        if self.hyper_analysis is None or self.hyper_synthesis is None:
            return 0, 0
        analysis = count_network(self.hyper_analysis, _padded_shape(y_shape))
        synthesis = count_network(self.hyper_synthesis, analysis.output_shape)
        return analysis.macs, synthesis.macs


def _padded_shape(y_shape: Shape) -> Shape:
    """The next of 4 k - 1 positions a side."""
    height, width, channels = y_shape
    return height + -(height + 1) % 4, width + -(width + 1) % 4, channels


class _SizedPrior:
    """As `rdc.model.CodingNetworks`, for y of one size."""

    def __init__(self, prior: LatentPrior, height: int, width: int):
        self._prior, self._height, self._width = prior, height, width

    def coding_steps(self, rate: Any = 0) -> list[Any]:
        prior = self._prior
        first = PriorStep(prior.density, prior.coded_first)
        return [first] if prior.step is None else [first, RatedStep(prior.step)]

    def features(self, z_hat: jax.Array) -> jax.Array:
        assert self._prior.hyper_synthesis is not None
        return self._prior.hyper_synthesis(z_hat)[:, : self._height, : self._width]


class ExactPrior:
    """The coding steps of a `LatentPrior` in integers (`rdc.exact`), on the host.

    Tables hang on the hyper-synthesis: in integers, every machine has the encoder's.
    """

    def __init__(self, prior: LatentPrior):
        self._density, self._latent = prior.density, prior.coded_first
        self._step = prior.step
        self._numerics = NUMERICS[NUMERICS_NAME]
        if prior.hyper_synthesis is not None and prior.step is not None:
            with self._numerics.scope():
                self._run = self._compiled(prior.hyper_synthesis, prior.step)

    def _compiled(
        self, hyper_synthesis: nnx.Module, step: GaussianStep
    ) -> Callable[[np.ndarray], GaussianParameters]:
        graph, state = nnx.split(hyper_synthesis)
        state = jax.device_put(state, self._numerics.device())

        def parameters(state: Any, z_hat: jax.Array) -> GaussianParameters:
            features = nnx.merge(graph, state)(z_hat)
            return step.parameters(features, None)

        return partial(jax.jit(self._numerics.adapt(parameters)), state)

    def sized(self, height: int, width: int) -> _SizedExactPrior:
        """For y of this size."""
        return _SizedExactPrior(self, height, width)

    def parameters(self, z_hat: np.ndarray, height: int, width: int) -> HostParameters:
        """Of y of this size."""
        with self._numerics.scope():
            found = self._run(z_hat)
            mean, index = np.asarray(found.mean), np.asarray(found.scale_index)
        mean, index = mean[:, :height, :width], index[:, :height, :width]
        index = np.clip(index, 0, NUM_SCALES - 1)
        table = np.rint(index).astype(np.uint8)
        return HostParameters(mean, table, index.astype(np.float32), ())

    def coding_steps(self) -> list[Any]:
        first = PriorStep(self._density, self._latent)
        return [first] if self._step is None else [first, _HostStep(self._step)]


class _SizedExactPrior:
    """As `rdc.model.CodingNetworks`; features are already the parameters of y."""

    def __init__(self, prior: ExactPrior, height: int, width: int):
        self._prior, self._height, self._width = prior, height, width

    def coding_steps(self, rate: Any = 0) -> list[Any]:
        return self._prior.coding_steps()

    def features(self, z_hat: np.ndarray) -> HostParameters:
        return self._prior.parameters(z_hat, self._height, self._width)


class _HostStep(RatedStep):
    """Its parameters are made with the features."""

    def parameters(self, features: Any, y_hat: Any) -> Any:
        return features


class _OddUpConv(nnx.Module):
    """Transposed 5 x 5 convolution of stride 2 without bias: n -> 2 n + 1 positions.

    The alignment of PyTorch's `ConvTranspose2d(5, stride=2, padding=1)`.
    """

    def __init__(self, parameters: ParameterFactory, inputs: int, outputs: int):
        # On average a quarter of the taps meets each output position.
        self.kernel = parameters.weights((5, 5, inputs, outputs), 25 * inputs / 4)

    def __call__(self, x: jax.Array) -> jax.Array:
        # One position more in front, of which `upsample` leaves the last tap.
        x = jnp.pad(x, [(0, 0), (1, 0), (1, 0), (0, 0)])
        return upsample(x, self.kernel[...])[:, 1:, 1:]


def noisy(
    prior: LatentPrior, y: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """(y with noise in place of rounding, bits of all latents f32[]).

    As the benchmark trains: decoder and hyper-synthesis see noise, too.
    """
    latents = prior.latents(y)
    keys = dict(zip(latents, jax.random.split(key, len(latents)), strict=True))
    bits = jnp.float32(0)

    def code(step: Any, parameters: Any) -> jax.Array:
        nonlocal bits
        symbols = step.symbols(latents[step.latent], parameters)
        symbols += rounding_noise(keys[step.latent], symbols.shape)
        bits += jnp.sum(step.bits(symbols, parameters))
        return step.values(symbols, parameters)

    networks: CodingNetworks = prior.sized(*y.shape[1:3])
    return run_coding_steps(networks, code), bits


def rounded(prior: LatentPrior, y: jax.Array) -> jax.Array:
    """y_hat as the decoder has it but for what integers round."""
    latents = prior.latents(y)

    def code(step: Any, parameters: Any) -> jax.Array:
        symbols = jnp.round(step.symbols(latents[step.latent], parameters))
        return step.values(symbols, parameters)

    return run_coding_steps(prior.sized(*y.shape[1:3]), code)
