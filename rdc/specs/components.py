"""What a transform, a hyper-transform and an entropy model must offer.

A component is declared in one file: a frozen dataclass with its sizes, and methods
that compose its networks from `rdc.layers`. Planners import these files and must not
pay for JAX, so `rdc.layers` is imported inside those methods.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rdc.specs.base import Spec, added, require
from rdc.specs.coding import MAX_EFFORT

if TYPE_CHECKING:
    from rdc.entropy_models.gaussian_step import GaussianStep
    from rdc.entropy_models.spatial_step import SpatialStep
    from rdc.layers import Network, ParameterFactory


# Hidden widths of learned densities, of z and of y without a hyper-transform.
PRIOR_FILTERS: tuple[int, ...] = (3, 3)


MAX_ENCODERS = 1 + MAX_EFFORT


class ComponentSpec(Spec, abc.ABC):
    """A component that the registry holds under `name`."""

    name: ClassVar[str]
    label: ClassVar[str]  # in family names: "elic" in elic/charm:swin

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, **super().to_dict()}

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, **super().identity()}


class TransformSpec(ComponentSpec):
    """Analysis and synthesis transform, x -> y and y_hat -> x_hat."""

    latent_channels: int
    stride: ClassVar[int] = 16  # pixels per latent position, each direction

    @abc.abstractmethod
    def analysis_transform(self, parameters: ParameterFactory) -> Network:
        """f32[B,H,W,3] in [0,1] -> f32[B,H/stride,W/stride,latent_channels]."""

    @abc.abstractmethod
    def synthesis_transform(self, parameters: ParameterFactory) -> Network:
        """The way back; not clipped to [0,1]."""


class HyperTransformSpec(ComponentSpec):
    """Hyper-analysis y -> z and hyper-synthesis z_hat -> features."""

    stride: ClassVar[int] = 4  # latent positions per hyperlatent position
    prior_filters: ClassVar[tuple[int, ...]] = PRIOR_FILTERS  # of z's density

    @property
    @abc.abstractmethod
    def hyperlatent_channels(self) -> int:
        """Channels of z."""

    @abc.abstractmethod
    def hyper_analysis(self, in_channels: int, parameters: ParameterFactory) -> Network:
        """f32[B,h,w,in_channels] -> f32[B,h/stride,w/stride,hyperlatent_channels]."""

    @abc.abstractmethod
    def hyper_synthesis(
        self, out_channels: int, parameters: ParameterFactory
    ) -> Network:
        """f32[B,h/stride,w/stride,hyperlatent_channels] -> f32[B,h,w,out_channels]."""


class EntropyModelSpec(ComponentSpec):
    """How the entropy parameters of y follow from what was decoded before."""

    uses_hyper_transform: ClassVar[bool] = True
    hyper_input_is_magnitude: ClassVar[bool] = False  # hyper-analysis sees |y|
    # In models of several rates, gains are of y itself, which all entropy networks then
    # see in steps of its rate, or of the symbols of each coding step.
    gains_are_of_latents: ClassVar[bool] = False
    # Of those, one per channel times one per rate, or one for each pair.
    gains_are_shared: ClassVar[bool] = False

    def check_latent_channels(self, latent_channels: int) -> None:
        """Raises `ConfigError` where this model cannot code so many channels."""

    def hyper_features(self, latent_channels: int) -> int:
        """Output channels of the hyper-synthesis (0: no hyper-transform)."""
        return 2 * latent_channels

    def fused_features(self, latent_channels: int) -> int:
        """Channels of what coding steps see: outputs of the fusion."""
        return self.hyper_features(latent_channels)

    def fusion(
        self, latent_channels: int, parameters: ParameterFactory
    ) -> Network | None:
        """Hyper features f32[B,h,w,F] -> f32[B,h,w,fused_features], once for all steps;
        None: as they are.
        """
        return None

    @abc.abstractmethod
    def coding_steps(
        self, latent_channels: int, parameters: ParameterFactory
    ) -> tuple[GaussianStep | SpatialStep, ...]:
        """The steps that code y, in order; () codes it with a factorised prior."""


@dataclass(frozen=True, kw_only=True)
class ArchitectureSpec(Spec):
    """A complete codec architecture: what `arch_id` identifies.

    The entropy model says whether there is a hyper-transform. `latent_channels` of
    the transform is the only width that the three share.

    Attributes:
      encoders: analysis transforms, of which an encoder runs as many as it has time
        for: y is the mean of what they give. The decoder is the same.
    """

    transform: TransformSpec
    entropy_model: EntropyModelSpec
    hyper_transform: HyperTransformSpec | None = None
    encoders: int = added(1)

    def __post_init__(self) -> None:
        require(
            1 <= self.encoders <= MAX_ENCODERS,
            f"a model has 1 to {MAX_ENCODERS} encoders",
            self.encoders,
        )
        has_hyper = self.hyper_transform is not None
        if self.entropy_model.uses_hyper_transform:
            require(
                has_hyper,
                f"entropy model {self.entropy_model.name} needs a hyper_transform",
                None,
                "add hyper_transform=conv",
            )
        else:
            require(
                not has_hyper,
                f"entropy model {self.entropy_model.name} has no hyper-transform",
                getattr(self.hyper_transform, "name", None),
                "leave hyper_transform out",
            )
        self.entropy_model.check_latent_channels(self.transform.latent_channels)

    @property
    def family(self) -> str:
        """`transform/entropy_model:hyper_transform`, as `elic/charm:swin`."""
        family = f"{self.transform.label}/{self.entropy_model.label}"
        if self.hyper_transform is not None:
            family += f":{self.hyper_transform.label}"
        return family

    @property
    def padding_multiple_px(self) -> int:
        """Images are padded to a multiple of this before the analysis transform."""
        hyper = self.hyper_transform.stride if self.hyper_transform else 1
        return self.transform.stride * hyper

    def padded_px(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Height and width of a padded image."""
        multiple = self.padding_multiple_px
        return -(-height_px // multiple) * multiple, -(-width_px // multiple) * multiple

    def latent_shapes(
        self, height_px: int, width_px: int
    ) -> tuple[tuple[int, int, int], tuple[int, int, int] | None]:
        """[h, w, channels] of y and of z (None without a hyper-transform).

        Args:
          height_px, width_px: of the image, before padding.
        """
        stride, hyper = self.transform.stride, self.hyper_transform
        height, width = (side // stride for side in self.padded_px(height_px, width_px))
        y_shape = (height, width, self.transform.latent_channels)
        if hyper is None:
            return y_shape, None
        sides = height // hyper.stride, width // hyper.stride
        return y_shape, (*sides, hyper.hyperlatent_channels)
