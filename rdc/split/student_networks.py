"""Entropic Student: the networks on both sides of its bottleneck."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from rdc.layers import Gdn, Network, PaddedConv, ParameterFactory
from rdc.specs.base import Spec, require


@dataclass(frozen=True, kw_only=True)
class StudentSpec(Spec):
    """Matsubara et al. 2023 (SC2 benchmark); no biases.

        x -5x5 s2- GDN -5x5 s2- GDN -2x2- y | -2x2 p1- IGDN -2x2- IGDN -2x2 p1- features
        H           H/2         H/4  H/4-1      H/4         H/4-1           H/4

    The features stand for the output of the teacher's stage 1, by default that of
    ResNet-50.

    Attributes:
      encoder_channels: widths after the encoder's first two convolutions.
      latent_channels: of y.
      decoder_channels: widths after the decoder's first two convolutions.
      feature_channels: of the teacher's stage 1.
      hyper_channels: of the hyperprior's z; None: a factorised prior.
    """

    encoder_channels: tuple[int, int] = (96, 48)
    latent_channels: int = 24
    decoder_channels: tuple[int, int] = (512, 256)
    feature_channels: int = 256
    hyper_channels: int | None = None

    def __post_init__(self) -> None:
        widths = (
            *self.encoder_channels,
            self.latent_channels,
            *self.decoder_channels,
            self.feature_channels,
            1 if self.hyper_channels is None else self.hyper_channels,
        )
        require(min(widths) >= 1, "channels are positive", widths)

    @classmethod
    def before(cls, feature_channels: int, **fields: Any) -> Self:
        """For a teacher's stage 1; the decoder's widths are as its code has them."""
        return cls(
            decoder_channels=(2 * feature_channels, feature_channels),
            feature_channels=feature_channels,
            **fields,
        )

    def encoder(self, parameters: ParameterFactory) -> Network:
        """f32[B,H,W,3] in [0, 1] -> y."""
        first, second = self.encoder_channels
        return Network(
            PaddedConv(parameters, 3, first, kernel=5, stride=2, padding=2),
            Gdn(parameters, first),
            PaddedConv(parameters, first, second, kernel=5, stride=2, padding=2),
            Gdn(parameters, second),
            PaddedConv(parameters, second, self.latent_channels, kernel=2),
        )

    def decoder(self, parameters: ParameterFactory) -> Network:
        """y_hat -> features of the teacher's stage 1."""
        first, second = self.decoder_channels
        latent, features = self.latent_channels, self.feature_channels
        return Network(
            PaddedConv(parameters, latent, first, kernel=2, padding=1),
            Gdn(parameters, first, inverse=True),
            PaddedConv(parameters, first, second, kernel=2),
            Gdn(parameters, second, inverse=True),
            PaddedConv(parameters, second, features, kernel=2, padding=1),
        )
