"""Networks between a device and a task network's stages: their sizes. No JAX here.

As of transforms, methods compose them from `rdc.layers`, which they import when called.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from rdc.specs.base import Spec, require

if TYPE_CHECKING:
    from rdc.layers import Network, ParameterFactory

STAGES = 4  # of a task network
POOLED = STAGES + 1  # what a classifier's pooling counts as


def check_stage(stage: int) -> None:
    """Raises `ConfigError` unless a teacher has this stage."""
    require(
        1 <= stage <= STAGES,
        f"a network is cut after one of its stages 1 to {STAGES}",
        stage,
    )


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
        from rdc.layers import Gdn, Network, PaddedConv

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
        from rdc.layers import Gdn, Network, PaddedConv

        first, second = self.decoder_channels
        latent, features = self.latent_channels, self.feature_channels
        return Network(
            PaddedConv(parameters, latent, first, kernel=2, padding=1),
            Gdn(parameters, first, inverse=True),
            PaddedConv(parameters, first, second, kernel=2),
            Gdn(parameters, second, inverse=True),
            PaddedConv(parameters, second, features, kernel=2, padding=1),
        )


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
        from rdc.layers import BatchNorm, MaxPool, Network, PaddedConv, Relu

        stem = PaddedConv(
            parameters, 3, self.stem_channels, kernel=7, stride=2, padding=3
        )
        first, second, third = self.encoder_channels
        convolved = partial(PaddedConv, parameters, kernel=2, padding=1)
        return Network(
            stem,
            BatchNorm(parameters, self.stem_channels),
            Relu(),
            MaxPool(),
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
        from rdc.layers import BatchNorm, Network, PaddedConv, Relu

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


@dataclass(frozen=True, kw_only=True)
class PlacementSpec(Spec):
    """Where the teacher is cut.

    Attributes:
      stage: whose output is coded; 5 is a classifier's pooling, of which a value a
        channel is sent.
      channels: of that stage.
    """

    stage: int
    channels: int

    def __post_init__(self) -> None:
        require(
            1 <= self.stage <= POOLED,
            f"a prior stands after one of a network's stages 1 to {STAGES}, or after "
            f"the pooling of a classifier: {POOLED}",
            self.stage,
        )
        require(self.channels >= 1, "channels are positive", self.channels)
