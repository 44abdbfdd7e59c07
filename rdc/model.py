"""The codec's networks wired together.

    x -> analysis_transform -> y ------------------+
                               |                   |
                         hyper_analysis      coding steps of y -> y_hat
                               |                   ^                |
                               z -> coding step    | features       |
                                       |           |                |
                                     z_hat -> hyper_synthesis       |
                                              (and fusion)          |
                                                  synthesis_transform -> x_hat

Coding steps make symbols of latents and values of symbols. In a model of several rates,
they do so with gains of the rate; the networks are the same at all of them. (Or y has
the gains before all of this, and the synthesis their inverse: spatial priors.)
One loop over the coding steps (`run_coding_steps`) serves training, estimation,
encoding, decoding and timing; what happens to a part is the callback that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from rdc.entropy_models.factorized_prior import FactorizedPrior
from rdc.entropy_models.gaussian_step import GaussianStep, RatedStep
from rdc.entropy_models.prior_step import PriorStep
from rdc.entropy_models.spatial_step import SpatialStep
from rdc.layers import (
    NO_GAINS,
    Network,
    ParameterFactory,
    Rate,
    RateGains,
    SharedGains,
    StepGains,
    gain_logs,
)
from rdc.ops.quantization import rounding_noise, ste_round
from rdc.specs.components import PRIOR_FILTERS, ArchitectureSpec


class CodingStep(Protocol):
    """One part of the latents that is coded at once.

    Arrays are JAX's within a traced computation, NumPy's in the codec.

    Attributes:
      latent: "z" or "y", which the part is of.
    """

    latent: Any

    def select(self, latent: Any) -> Any:
        """The part of the latent tensor."""

    def parameters(self, features: Any, y_hat: Any) -> Any:
        """Entropy parameters of the part, from hyper features and y_hat so far."""

    def refine(self, part: Any, parameters: Any) -> Any:
        """The decoded part, improved by what both sides know."""

    def place(self, part: Any, y_hat: Any) -> Any:
        """y_hat so far with the part in its place."""


class CodingNetworks(Protocol):
    """What the loop runs: a model, or the codec's compiled twin of one."""

    def coding_steps(self, rate: Any) -> Sequence[Any]:
        """z's step first, where there is a hyper-transform, then those of y."""

    def features(self, z_hat: Any) -> Any:
        """The hyper-synthesis."""


# (step, its parameters) -> the quantised part: by rounding, by writing, by reading.
CodePart = Callable[[Any, Any], Any]


def run_coding_steps(networks: CodingNetworks, code: CodePart, rate: Rate = 0) -> Any:
    """The one loop: y_hat from what `code` makes of each part.

    Args:
      code: gets a step and its entropy parameters and returns the quantised part: by
        rounding the latents (training, encoding) or by decoding symbols.
      rate: number of the operating point; of use with several.
    """
    features = y_hat = None
    for step in networks.coding_steps(rate):
        parameters = step.parameters(features, y_hat)
        part = step.refine(code(step, parameters), parameters)
        if step.latent == "z":
            features = networks.features(part)
        else:
            y_hat = step.place(part, y_hat)
    return y_hat


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainingOutput:
    """x_hat f32[B,H,W,3], not clipped; bits of y and z per image, f32[B]."""

    x_hat: jax.Array
    bits_y: jax.Array
    bits_z: jax.Array


class CompressionModel(nnx.Module):
    """All networks of one architecture.

    Args:
      spec: the architecture.
      parameters: makes the weights, or only their shapes.
      rates: values of lambda, ascending; with several of them, y and z have gains for
        each: those of z begin as 1.
    """

    def __init__(
        self,
        spec: ArchitectureSpec,
        parameters: ParameterFactory,
        rates: Sequence[float] = (),
    ):
        self.spec = spec
        transform, hyper = spec.transform, spec.hyper_transform
        latent_channels = transform.latent_channels
        self.analysis_transform = transform.analysis_transform(parameters)
        self.extra_encoders: nnx.List[Network] = nnx.List(
            transform.analysis_transform(parameters) for _ in range(spec.encoders - 1)
        )
        self.synthesis_transform = transform.synthesis_transform(parameters)
        if hyper is None:
            self.hyper_analysis = self.hyper_synthesis = None
            prior_channels, filters = latent_channels, PRIOR_FILTERS
        else:
            features = spec.entropy_model.hyper_features(latent_channels)
            self.hyper_analysis = hyper.hyper_analysis(latent_channels, parameters)
            self.hyper_synthesis = hyper.hyper_synthesis(features, parameters)
            prior_channels = hyper.hyperlatent_channels
            filters = hyper.prior_filters
        self.fusion = spec.entropy_model.fusion(latent_channels, parameters)
        self.prior = FactorizedPrior(parameters, prior_channels, filters)
        self.steps: nnx.List[GaussianStep | SpatialStep] = nnx.List(
            spec.entropy_model.coding_steps(latent_channels, parameters)
        )
        several = len(rates) > 1
        self.gains = (
            (SharedGains if spec.entropy_model.gains_are_shared else RateGains)(
                parameters, gain_logs(rates), latent_channels
            )
            if several
            else None
        )
        self.hyper_gains = (
            RateGains(parameters, [0.0] * len(rates), prior_channels)
            if several
            and hyper is not None
            and not spec.entropy_model.gains_are_of_latents
            else None
        )

    @property
    def latent_gains(self) -> RateGains | SharedGains | None:
        """Gains of y itself, where the entropy model has them there."""
        return self.gains if self.spec.entropy_model.gains_are_of_latents else None

    @property
    def step_gains(self) -> RateGains | SharedGains | None:
        """Gains of the symbols of coding steps."""
        return None if self.latent_gains is not None else self.gains

    @property
    def encoders(self) -> list[Network]:
        """All analysis transforms, the first one first."""
        return [self.analysis_transform, *self.extra_encoders]

    @property
    def last_encoder(self) -> tuple[str, ...]:
        """Path of the analysis transform that came last."""
        extra = len(self.extra_encoders)
        return (f"extra_encoders.{extra - 1}" if extra else "analysis_transform",)

    def latents(self, x: jax.Array, rate: Rate = 0) -> jax.Array:
        """f32[B,H,W,3] in [0,1] -> y f32[B,h,w,C], by all encoders."""
        found = [encoder(x).astype(jnp.float32) for encoder in self.encoders]
        y = sum(found[1:], found[0]) / len(found) if len(found) > 1 else found[0]
        gains = self.latent_gains
        return y if gains is None else y * jnp.exp(gains.at(rate).gain)

    def reconstruction(self, y_hat: jax.Array, rate: Rate = 0) -> jax.Array:
        """y_hat f32[B,h,w,C] -> x_hat f32[B,H,W,3], not clipped."""
        gains = self.latent_gains
        if gains is not None:
            y_hat = y_hat * jnp.exp(gains.at(rate).inverse)
        return self.synthesis_transform(y_hat)

    def coding_steps(self, rate: Rate = 0) -> list[CodingStep]:
        """z's step first, where there is a hyper-transform, then those of y.

        Args:
          rate: number of the operating point, or between two; one per image, f32[B],
            in training.
        """

        def of(gains: RateGains | SharedGains | None) -> StepGains:
            return NO_GAINS if gains is None else gains.at(rate)

        if self.hyper_synthesis is None:
            return [PriorStep(self.prior, "y", of(self.step_gains))]
        first = PriorStep(self.prior, "z", of(self.hyper_gains))
        return [first, *(RatedStep(step, of(self.step_gains)) for step in self.steps)]

    def hyperlatents(self, y: jax.Array) -> jax.Array:
        """z of y, f32[B,h/4,w/4,hyperlatent_channels]; needs a hyper-transform."""
        assert self.hyper_analysis is not None
        if self.spec.entropy_model.hyper_input_is_magnitude:
            y = jnp.abs(y)
        return self.hyper_analysis(y).astype(jnp.float32)

    def features(self, z_hat: jax.Array) -> jax.Array:
        """What the hyper-synthesis tells of y, f32[B,h,w,F]."""
        return self.feature_network(z_hat)

    @property
    def feature_network(self) -> Network:
        """Hyper-synthesis and fusion; needs a hyper-transform."""
        assert self.hyper_synthesis is not None
        if self.fusion is None:
            return self.hyper_synthesis
        return Network(self.hyper_synthesis, self.fusion)

    def __call__(self, x: jax.Array, key: jax.Array, rate: Rate = 0) -> TrainingOutput:
        """Training pass with the surrogates of `rdc.ops.quantization`.

        Args:
          x: f32[B,H,W,3] in [0,1]; H and W multiples of the padding multiple.
          key: for the noise: one per image, key[B], or one for all. The noise of an
            image depends on its key alone, not on how a batch is divided.
          rate: number of the operating point; f32[B]: of each image.
        """
        keys = key if key.ndim else jax.random.split(key, x.shape[0])
        y_keys, z_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        latents = {"y": self.latents(x, rate)}
        if self.hyper_analysis is not None:
            latents["z"] = self.hyperlatents(latents["y"])
        noise = {
            name: jax.vmap(partial(rounding_noise, shape=latents[name].shape[1:]))(keys)
            for name, keys in (("y", y_keys), ("z", z_keys))
            if name in latents
        }
        bits = {"y": jnp.zeros(x.shape[0]), "z": jnp.zeros(x.shape[0])}

        def code(step: Any, parameters: Any) -> jax.Array:
            symbols = step.symbols(step.select(latents[step.latent]), parameters)
            noisy = symbols + step.select(noise[step.latent])
            bits[step.latent] += _per_image(step.bits(noisy, parameters))
            return step.values(ste_round(symbols), parameters)

        y_hat = run_coding_steps(self, code, rate)
        return TrainingOutput(
            x_hat=self.reconstruction(y_hat, rate), bits_y=bits["y"], bits_z=bits["z"]
        )


def _per_image(bits: jax.Array) -> jax.Array:
    return jnp.sum(bits, axis=tuple(range(1, bits.ndim)))
