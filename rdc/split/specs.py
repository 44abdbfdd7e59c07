"""Split methods: what stands between a device and the server that answers. No JAX here.

A method at one setting is one spec; `parse_method` reads one from plain data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rdc.specs.base import Spec, require, unknown_name
from rdc.specs.classical import SETTINGS
from rdc.specs.tasks import OptimizerSpec, TaskRecipe

if TYPE_CHECKING:
    from rdc.layers import Network, ParameterFactory

STAGES = 4  # of a task network
PriorName = Literal["factorized", "mean_scale"]


@dataclass(frozen=True, kw_only=True)
class StudentSpec(Spec):
    """Matsubara et al. 2023 (SC2 benchmark), factorised prior; no biases.

        x -5x5 s2- GDN -5x5 s2- GDN -2x2- y | -2x2 p1- IGDN -2x2- IGDN -2x2 p1- features
        H           H/2         H/4  H/4-1      H/4         H/4-1           H/4

    The features stand for the output of the teacher's stage 1, by default that of
    ResNet-50.

    Attributes:
      encoder_channels: widths after the encoder's first two convolutions.
      latent_channels: of y.
      decoder_channels: widths after the decoder's first two convolutions.
      feature_channels: of the teacher's stage 1.
    """

    encoder_channels: tuple[int, int] = (96, 48)
    latent_channels: int = 24
    decoder_channels: tuple[int, int] = (512, 256)
    feature_channels: int = 256

    def __post_init__(self) -> None:
        widths = (
            *self.encoder_channels,
            self.latent_channels,
            *self.decoder_channels,
            self.feature_channels,
        )
        require(min(widths) >= 1, "channels are positive", widths)

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
class BottleneckSpec(Spec):
    """Channel reduction of SC2's CR+BQ: 7x7 s2, pooling, four 2x2 convolutions.

    Attributes:
      channels: of the bottleneck, a byte each and position.
      encoder_channels: of the first convolution, and the three before the bottleneck.
      decoder_channels: of the three behind it.
      feature_channels: of the teacher's stage 1.
    """

    channels: int = 3
    encoder_channels: tuple[int, int, int, int] = (64, 64, 256, 64)
    decoder_channels: tuple[int, int, int] = (64, 128, 256)
    feature_channels: int = 256

    def __post_init__(self) -> None:
        widths = (
            self.channels,
            *self.encoder_channels,
            *self.decoder_channels,
            self.feature_channels,
        )
        require(min(widths) >= 1, "channels are positive", widths)


class MethodSpec(Spec):
    """A method at one setting.

    Attributes:
      name: in configurations.
      is_trained: on photographs, before it encodes any.
    """

    name: ClassVar[str]
    is_trained: ClassVar[bool] = True

    @property
    def setting(self) -> str:
        """What is varied to trade bytes for the task, for people."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, **super().to_dict()}

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, **super().identity()}


@dataclass(frozen=True, kw_only=True)
class InputMethod(MethodSpec):
    """A codec's stream, and the whole task network on the server.

    Attributes:
      codec: a classical codec, or a model that comes with this package, as `light`.
      rate: the codec's setting.
    """

    name: ClassVar[str] = "input"
    is_trained: ClassVar[bool] = False
    codec: str
    rate: float

    @property
    def setting(self) -> str:
        return f"rate={self.rate:g}"


@dataclass(frozen=True, kw_only=True)
class FeatureMethod(MethodSpec):
    """A stage's features as pictures of a classical codec.

    Attributes:
      stage: whose output is coded.
      rate: the codec's setting.
    """

    name: ClassVar[str] = "features"
    is_trained: ClassVar[bool] = False
    codec: str = "jpeg"
    stage: int = 1
    rate: float

    def __post_init__(self) -> None:
        check_stage(self.stage)
        if self.codec not in SETTINGS:
            raise unknown_name("codec of features", self.codec, list(SETTINGS))

    @property
    def setting(self) -> str:
        return f"stage={self.stage},rate={self.rate:g}"


# As published: Matsubara et al. 2023, appendix.
_DISTILLATION = TaskRecipe(
    epochs=10,
    batch=64,
    crop_px=224,
    least_crop=0.28,
    optimizer=OptimizerSpec(tenths_at=(0.5, 0.8)),
)
_FINE_TUNING = TaskRecipe(
    epochs=10,
    batch=128,
    crop_px=224,
    least_crop=0.28,
    optimizer=OptimizerSpec(name="sgd", weight_decay=5e-4, tenths_at=(0.5,)),
)
_FROM_SCRATCH = TaskRecipe(
    epochs=60,
    batch=256,
    crop_px=224,
    least_crop=0.28,
    optimizer=OptimizerSpec(weight_decay=1e-4, decay="cosine"),
)
_GHND = TaskRecipe(
    epochs=20,
    batch=32,
    crop_px=224,
    least_crop=0.28,
    optimizer=OptimizerSpec(tenths_at=(0.25, 0.5, 0.75)),
)


@dataclass(frozen=True, kw_only=True)
class PlacementMethod(MethodSpec):
    """The prior directly on a stage's output, all fine-tuned.

    Attributes:
      stage: whose output is coded.
      beta: loss per bit.
    """

    name: ClassVar[str] = "placement"
    stage: int
    beta: float
    recipe: TaskRecipe = _FINE_TUNING

    def __post_init__(self) -> None:
        check_stage(self.stage)
        _check_beta(self.beta)

    @property
    def setting(self) -> str:
        return f"stage={self.stage},beta={self.beta:g}"


@dataclass(frozen=True, kw_only=True)
class StudentMethod(MethodSpec):
    """Entropic Student: distilled without labels, then its server's side fine-tuned.

    Attributes:
      beta: loss per bit, where squared errors are summed over positions and channels.
      hyper_channels: of the hyper-latents of a mean-scale prior.
    """

    name: ClassVar[str] = "student"
    beta: float
    networks: StudentSpec = StudentSpec()
    prior: PriorName = "factorized"
    hyper_channels: int = 16
    distillation: TaskRecipe = _DISTILLATION
    fine_tuning: TaskRecipe = _FINE_TUNING

    def __post_init__(self) -> None:
        _check_beta(self.beta)

    @property
    def setting(self) -> str:
        return f"prior={self.prior},beta={self.beta:g}"


@dataclass(frozen=True, kw_only=True)
class EndToEndMethod(MethodSpec):
    """The student's networks and the task network's tail, trained together afresh.

    Attributes:
      beta: loss per bit of a photograph, beside the cross-entropy.
      hyper_channels: of the hyper-latents of a mean-scale prior.
    """

    name: ClassVar[str] = "end_to_end"
    beta: float
    networks: StudentSpec = StudentSpec()
    prior: PriorName = "factorized"
    hyper_channels: int = 16
    recipe: TaskRecipe = _FROM_SCRATCH

    def __post_init__(self) -> None:
        _check_beta(self.beta)

    @property
    def setting(self) -> str:
        return f"prior={self.prior},beta={self.beta:g}"


@dataclass(frozen=True, kw_only=True)
class BottleneckMethod(MethodSpec):
    """CR+BQ: few channels of 8 bits, trained by generalised head distillation."""

    name: ClassVar[str] = "bottleneck"
    networks: BottleneckSpec = BottleneckSpec()
    recipe: TaskRecipe = _GHND

    @property
    def setting(self) -> str:
        return f"channels={self.networks.channels}"


METHODS: dict[str, type[MethodSpec]] = {
    method.name: method
    for method in (
        InputMethod,
        FeatureMethod,
        PlacementMethod,
        StudentMethod,
        EndToEndMethod,
        BottleneckMethod,
    )
}


# They learn from photographs without labels, too.
DISTILLED = (StudentMethod, BottleneckMethod)


def parse_method(values: Mapping[str, Any], where: str = "method") -> MethodSpec:
    """A method from `{"name": ..., field: value, ...}`.

    Raises:
      ConfigError: for an unknown name, key or value.
    """
    fields = dict(values)
    name = fields.pop("name", None)
    if name not in METHODS:
        raise unknown_name(where, name, list(METHODS))
    return METHODS[name].from_dict(fields, where)


def check_stage(stage: int) -> None:
    """Raises `ConfigError` unless a teacher has this stage."""
    require(
        1 <= stage <= STAGES,
        f"a network is cut after one of its stages 1 to {STAGES}",
        stage,
    )


def _check_beta(beta: float) -> None:
    require(beta > 0, "beta is positive", beta)
