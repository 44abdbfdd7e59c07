"""Channel reduction: the networks on both sides of a narrow bottleneck (CR+BQ)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import jax
from flax import nnx

from rdc.layers import BatchNorm, Network, PaddedConv, ParameterFactory, Relu
from rdc.specs.base import Spec, require


@dataclass(frozen=True, kw_only=True)
class ReductionSpec(Spec):
    """CR+BQ of the SC2 benchmark (Matsubara et al. 2023), before revision 42010b8.

        x -7x7 s2- BN ReLU pool -2x2 p1- BN -2x2 p1- BN ReLU -2x2 p1- BN -2x2 p1- y
        H            H/2   H/4     H/4+1       H/4+2            H/4+3      H/4+4
        y - BN ReLU -2x2- BN -2x2- BN ReLU -2x2- BN -2x2- BN ReLU - features
                       H/4+3    H/4+2         H/4+1    H/4

    No convolution has a bias. Of y, one byte a value is sent: 60 x 60 x channels at
    224 px. The features stand for the output of the teacher's stage 1, by default that
    of ResNet-50.

    Attributes:
      bottleneck_channels: of y; 1, 2, 3, 6, 9, 12 in the benchmark.
      stem_channels: after the 7 x 7 convolution.
      encoder_channels, decoder_channels: widths after the first three 2 x 2
        convolutions of either side.
      feature_channels: of the teacher's stage 1.
    """

    bottleneck_channels: int = 3
    stem_channels: int = 64
    encoder_channels: tuple[int, int, int] = (64, 256, 64)
    decoder_channels: tuple[int, int, int] = (64, 128, 256)
    feature_channels: int = 256

    def __post_init__(self) -> None:
        widths = (
            self.bottleneck_channels,
            self.stem_channels,
            *self.encoder_channels,
            *self.decoder_channels,
            self.feature_channels,
        )
        require(min(widths) >= 1, "channels are positive", widths)

    @classmethod
    def before(cls, feature_channels: int, stem_channels: int, **fields: Any) -> Self:
        """For a teacher's stage 1; the other widths keep their ratio to its stem's."""
        return cls(
            stem_channels=stem_channels,
            encoder_channels=(stem_channels, 4 * stem_channels, stem_channels),
            decoder_channels=(stem_channels, 2 * stem_channels, 4 * stem_channels),
            feature_channels=feature_channels,
            **fields,
        )

    def encoder(self, parameters: ParameterFactory) -> Network:
        """f32[B,H,W,3] in [0, 1] -> y."""
        stem = PaddedConv(
            parameters, 3, self.stem_channels, kernel=7, stride=2, padding=3
        )
        first, second, third = self.encoder_channels
        convolved = partial(PaddedConv, parameters, kernel=2, padding=1)
        return Network(
            stem,
            BatchNorm(parameters, self.stem_channels),
            Relu(),
            _Pool(),
            convolved(self.stem_channels, first),
            BatchNorm(parameters, first),
            convolved(first, second),
            BatchNorm(parameters, second),
            Relu(),
            convolved(second, third),
            BatchNorm(parameters, third),
            convolved(third, self.bottleneck_channels),
        )

    def decoder(self, parameters: ParameterFactory) -> Network:
        """y_hat -> features of the teacher's stage 1."""
        first, second, third = self.decoder_channels
        convolved = partial(PaddedConv, parameters, kernel=2)
        return Network(
            BatchNorm(parameters, self.bottleneck_channels),
            Relu(),
            convolved(self.bottleneck_channels, first),
            BatchNorm(parameters, first),
            convolved(first, second),
            BatchNorm(parameters, second),
            Relu(),
            convolved(second, third),
            BatchNorm(parameters, third),
            convolved(third, self.feature_channels),
            BatchNorm(parameters, self.feature_channels),
            Relu(),
        )


class _Pool(nnx.Module):
    """The largest of 3 x 3, stride 2, as behind a ResNet's stem."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return nnx.max_pool(x, (3, 3), strides=(2, 2), padding=[(1, 1), (1, 1)])
