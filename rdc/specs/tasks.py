"""Task networks and how they, and what stands before them, are trained. No JAX here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rdc.specs.base import Spec, added, require
from rdc.specs.task_networks import (
    DeepLabSpec,
    ResNetSpec,
    RetinaNetSpec,
    TaskNetworkSpec,
)

TaskName = Literal["classification", "segmentation", "detection"]


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
class TaskRecipe(Spec):
    """A training on squares of photographs.

    Attributes:
      epochs: so many times as many squares as there are photographs.
      crop_px: side of the squares that a batch is made of. With boxes a whole
        photograph fills one as far as it can.
      least_crop: share of a photograph's short side that a square has at least,
        before it is scaled to `crop_px`; the largest has all of it. With masks or
        boxes squares are cut otherwise (`rdc.tasks.segmentation`, `detection`).
    """

    epochs: float
    batch: int = 32
    optimizer: OptimizerSpec = OptimizerSpec()
    crop_px: int = 128
    least_crop: float = 0.5

    def __post_init__(self) -> None:
        require(self.epochs > 0, "epochs is positive", self.epochs)
        require(self.batch >= 2, "batch is two or more", self.batch)
        require(self.crop_px >= 32, "crop_px is 32 or more", self.crop_px)
        require(
            0 < self.least_crop <= 1,
            "least_crop is a share, over 0",
            self.least_crop,
        )

    def fit(self, photographs: int, seed: int) -> FitRecipe:
        """The same in steps, for so many photographs."""
        return FitRecipe(
            steps=math.ceil(self.epochs * photographs / self.batch),
            optimizer=self.optimizer,
            seed=seed,
        )


@dataclass(frozen=True, kw_only=True)
class TeacherSpec(Spec):
    """A task network of a layout, trained by a recipe.

    Attributes:
      task: what it answers; a classifier is a ResNet, a segmentation DeepLabV3, a
        detector RetinaNet.
      classes: of the network; None: the photographs'. torchvision's detectors have 91,
        COCO's ids with their gaps.
      head_channels: of a segmentation's head, or of a detector's pyramid.
      auxiliary: of a segmentation: torchvision's second classifier behind layer3.
      first_stage: of a detector, see `RetinaNetSpec`.
    """

    task: TaskName = added("classification")
    widths: tuple[int, int, int, int] = (32, 64, 128, 256)
    blocks: tuple[int, int, int, int] = (1, 1, 1, 1)
    bottleneck: bool = False
    classes: int | None = added(None)
    head_channels: int = added(256)
    auxiliary: bool = added(True)
    first_stage: int = added(2)
    recipe: TaskRecipe = TaskRecipe(epochs=64)
    seed: int = 0

    def network(self, classes: int) -> TaskNetworkSpec:
        """Its layout, for photographs of so many classes."""
        backbone = ResNetSpec(
            classes=self.classes or classes,
            widths=self.widths,
            blocks=self.blocks,
            bottleneck=self.bottleneck,
            dilated=self.task == "segmentation",
        )
        if self.task == "segmentation":
            return DeepLabSpec(
                backbone=backbone,
                head_channels=self.head_channels,
                auxiliary=self.auxiliary,
            )
        if self.task == "detection":
            return RetinaNetSpec(
                backbone=backbone,
                pyramid_channels=self.head_channels,
                first_stage=self.first_stage,
            )
        return backbone

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Of the stages that it is cut after; a classifier's last is its pooling."""
        network = self.network(classes=2)
        if isinstance(network, ResNetSpec):
            return *network.channels, network.channels[-1]
        last = self.first_stage if self.task == "detection" else None
        return network.backbone.channels[:last]
