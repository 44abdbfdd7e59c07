"""Task networks and how they, and what stands before them, are trained. No JAX here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rdc.specs.base import Spec, added, require

EXPANSION = 4  # of a bottleneck block


@dataclass(frozen=True, kw_only=True)
class ResNetSpec(Spec):
    """He et al. 2016 as torchvision has it: a block's stride is at its 3 x 3 kernel.

    Attributes:
      widths: of the blocks of layer1 to layer4; a bottleneck gives four times as many
        channels. The stem has as many as layer1.
      blocks: of each layer.
      dilated: layers 3 and 4 keep H/8, their 3 x 3 taps lie two and four positions
        apart (torchvision's `replace_stride_with_dilation`, which knows bottlenecks
        alone).
    """

    classes: int
    widths: tuple[int, int, int, int] = (32, 64, 128, 256)
    blocks: tuple[int, int, int, int] = (1, 1, 1, 1)
    bottleneck: bool = False
    dilated: bool = added(False)

    def __post_init__(self) -> None:
        require(self.classes >= 2, "classes are two or more", self.classes)
        require(min(self.widths) >= 1, "widths are positive", self.widths)
        require(min(self.blocks) >= 1, "a layer has a block", self.blocks)

    @property
    def channels(self) -> tuple[int, ...]:
        """Of the outputs of layer1 to layer4."""
        expansion = EXPANSION if self.bottleneck else 1
        return tuple(width * expansion for width in self.widths)


def resnet50(classes: int) -> ResNetSpec:
    """ResNet-50, 25 557 032 parameters with ImageNet's 1000 classes."""
    return ResNetSpec(
        classes=classes,
        widths=(64, 128, 256, 512),
        blocks=(3, 4, 6, 3),
        bottleneck=True,
    )


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec(Spec):
    """What moves the parameters of a training, and how its steps shrink.

    Attributes:
      name: `adam`, or `sgd` with a momentum of 0.9.
      weight_decay: of the parameters, added to their gradient (L2).
      decay: `tenths`, `cosine` to zero, or `poly`, a power of 0.9 to zero.
      tenths_at: of `tenths`: shares of the steps at which the learning rate falls to a
        tenth.
      density_rate: times learning_rate, for densities of latents. They start so wide
        that every symbol costs four bits, and a short training is over before they
        are narrow: give it 10.
    """

    name: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    decay: Literal["tenths", "cosine", "poly"] = "tenths"
    tenths_at: tuple[float, ...] = (0.5, 0.8)
    density_rate: float = added(1.0)

    def __post_init__(self) -> None:
        for name in ("learning_rate", "density_rate"):
            value = getattr(self, name)
            require(value > 0, f"{name} is positive", value)
        require(
            self.weight_decay >= 0, "weight_decay is not negative", self.weight_decay
        )
        require(
            all(0 < share < 1 for share in self.tenths_at),
            "tenths_at are shares between 0 and 1",
            self.tenths_at,
        )


@dataclass(frozen=True, kw_only=True)
class FitRecipe(Spec):
    """How a module is trained; see `rdc.training.fit`.

    Attributes:
      checkpoint_steps: between checkpoints.
    """

    steps: int
    optimizer: OptimizerSpec = OptimizerSpec()
    seed: int = 0
    checkpoint_steps: int = 200

    def __post_init__(self) -> None:
        require(self.steps >= 1, "steps is positive", self.steps)
        require(
            self.checkpoint_steps >= 1,
            "checkpoint_steps is positive",
            self.checkpoint_steps,
        )


@dataclass(frozen=True, kw_only=True)
class EpochsRecipe(Spec):
    """A training on photographs.

    Attributes:
      epochs: so many times as many pieces as there are photographs.
    """

    epochs: float
    batch: int = 32
    optimizer: OptimizerSpec = OptimizerSpec()

    def __post_init__(self) -> None:
        require(self.epochs > 0, "epochs is positive", self.epochs)
        require(self.batch >= 2, "batch is two or more", self.batch)

    def fit(self, photographs: int, seed: int) -> FitRecipe:
        """The same in steps, for so many photographs."""
        return FitRecipe(
            steps=math.ceil(self.epochs * photographs / self.batch),
            optimizer=self.optimizer,
            seed=seed,
        )


@dataclass(frozen=True, kw_only=True)
class TaskRecipe(EpochsRecipe):
    """A training on squares of photographs.

    Attributes:
      crop_px: side of the squares that a batch is made of.
      least_crop: share of a photograph's short side that a square has at least,
        before it is scaled to `crop_px`; the largest has all of it.
    """

    crop_px: int = 128
    least_crop: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.crop_px >= 32, "crop_px is 32 or more", self.crop_px)
        require(
            0 < self.least_crop <= 1,
            "least_crop is a share, over 0",
            self.least_crop,
        )


@dataclass(frozen=True, kw_only=True)
class TeacherSpec(Spec):
    """A task network of a layout, trained by a recipe; its classes are the data's."""

    widths: tuple[int, int, int, int] = (32, 64, 128, 256)
    blocks: tuple[int, int, int, int] = (1, 1, 1, 1)
    bottleneck: bool = False
    recipe: TaskRecipe = TaskRecipe(epochs=64)
    seed: int = 0

    def network(self, classes: int) -> ResNetSpec:
        return ResNetSpec(
            classes=classes,
            widths=self.widths,
            blocks=self.blocks,
            bottleneck=self.bottleneck,
        )
