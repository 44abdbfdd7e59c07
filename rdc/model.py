"""The codec's networks wired together.

    x -> analysis_transform -> y --(minus mean)--> round --> symbols of y
                               |                               |
                         hyper_analysis                  slice loop -> y_hat
                               |                               ^       |
                               z -> round -> z_hat -> hyper_synthesis  |
                                      |                                |
                              symbols of z           synthesis_transform -> x_hat

One slice loop (`decode_slices`) serves training, estimation, encoding and decoding;
what happens to a slice is the callback that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from rdc.entropy_models.factorized_prior import FactorizedPrior
from rdc.entropy_models.slices import SliceModel
from rdc.layers import ParameterFactory
from rdc.ops.gaussian import gaussian_bits
from rdc.ops.quantization import additive_noise, ste_round, ste_round_offset
from rdc.specs.components import ArchitectureSpec

# (slice number, mean, scale_index) -> y_hat of the slice, before refinement: an array
# of JAX within a traced computation, of NumPy in the codec.
SliceQuantizer = Callable[[int, jax.Array, jax.Array], Any]


class SliceFunctions(Protocol):
    """What the slice loop needs of a slice; see `SliceModel`."""

    def entropy_parameters(
        self, features: jax.Array, support: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, jax.Array, jax.Array]: ...

    def refine(self, mean_input: jax.Array, y_hat: jax.Array) -> jax.Array: ...


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
    """

    def __init__(self, spec: ArchitectureSpec, parameters: ParameterFactory):
        self.spec = spec
        transform, hyper = spec.transform, spec.hyper_transform
        latent_channels = transform.latent_channels
        self.analysis_transform = transform.analysis(parameters)
        self.synthesis_transform = transform.synthesis(parameters)
        if hyper is None:
            self.hyper_analysis = self.hyper_synthesis = None
            prior_channels = latent_channels
        else:
            features = spec.entropy_model.hyper_features(latent_channels)
            self.hyper_analysis = hyper.analysis(latent_channels, parameters)
            self.hyper_synthesis = hyper.synthesis(features, parameters)
            prior_channels = hyper.hyperlatent_channels
        self.prior = FactorizedPrior(parameters, prior_channels)
        self.slices: nnx.List[SliceModel] = nnx.List(
            spec.entropy_model.slices(latent_channels, parameters)
        )

    def hyperlatents(self, y: jax.Array) -> jax.Array:
        """z of y, f32[B,h/4,w/4,hyperlatent_channels]; needs a hyper-transform."""
        assert self.hyper_analysis is not None
        if self.spec.entropy_model.hyper_input_is_magnitude:
            y = jnp.abs(y)
        return self.hyper_analysis(y).astype(jnp.float32)

    def __call__(self, x: jax.Array, key: jax.Array) -> TrainingOutput:
        """Training pass with the surrogates of `rdc.ops.quantization`.

        Args:
          x: f32[B,H,W,3] in [0,1]; H and W multiples of the padding multiple.
          key: for the noise: one per image, key[B], or one for all. The noise of an
            image depends on its key alone, not on how a batch is divided.
        """
        keys = key if key.ndim else jax.random.split(key, x.shape[0])
        y_keys, z_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        noisy = jax.vmap(additive_noise)
        y = self.analysis_transform(x).astype(jnp.float32)
        if self.hyper_synthesis is None:
            bits_y = _per_image(self.prior.bits(noisy(y_keys, y)))
            return TrainingOutput(
                x_hat=self.synthesis_transform(ste_round(y)),
                bits_y=bits_y,
                bits_z=jnp.zeros_like(bits_y),
            )

        z = self.hyperlatents(y)
        bits_z = _per_image(self.prior.bits(noisy(z_keys, z)))
        features = self.hyper_synthesis(ste_round(z))
        y_slices = self.split(y)
        noisy_slices = self.split(noisy(y_keys, y))
        bits: list[jax.Array] = []

        def quantize(i: int, mean: jax.Array, scale_index: jax.Array) -> jax.Array:
            bits.append(_per_image(gaussian_bits(noisy_slices[i] - mean, scale_index)))
            return ste_round_offset(y_slices[i], mean)

        y_hat = decode_slices(tuple(self.slices), features, quantize)
        return TrainingOutput(
            x_hat=self.synthesis_transform(y_hat),
            bits_y=jnp.sum(jnp.stack(bits), axis=0),
            bits_z=bits_z,
        )

    def split(self, y: jax.Array) -> list[jax.Array]:
        """y cut into its slices along the channels."""
        return jnp.split(y, len(self.slices), axis=-1)


def decode_slices(
    slices: Sequence[SliceFunctions], features: jax.Array, quantize: SliceQuantizer
) -> jax.Array:
    """The one slice loop: y_hat from hyper features, slice after slice.

    Args:
      slices: in coding order; `SliceModel`s, or the codec's compiled ones.
      features: f32[B,h,w,F], output of the hyper-synthesis.
      quantize: turns a slice's entropy parameters into its y_hat: by rounding y
        (training, encoding) or by decoding symbols.
    """
    decoded: list[jax.Array] = []
    for i, model in enumerate(slices):
        mean, scale_index, mean_input = model.entropy_parameters(
            features, tuple(decoded)
        )
        y_hat = quantize(i, mean, scale_index)
        decoded.append(model.refine(mean_input, y_hat))
    return jnp.concatenate(decoded, axis=-1)


def _per_image(bits: jax.Array) -> jax.Array:
    return jnp.sum(bits, axis=tuple(range(1, bits.ndim)))
