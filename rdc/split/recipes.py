"""How split methods are trained: as published, and short ones of the same form.

Published ones are of the SC2 benchmark (Matsubara et al. 2023) for ImageNet, as its
configuration files have them; its squares are `RandomResizedCrop`, of 8 % of the area
or more. Short ones (`*_mini`) are for some hundred photographs on two CPU cores, with
the narrow teachers of `rdc teachers`; nothing was measured of them yet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from rdc.specs.base import Spec, require
from rdc.tasks.squares import check_squares
from rdc.training.fit import FitRecipe

_CHECKPOINT_STEPS = (50, 1000)  # between two: at least, at most


@dataclass(frozen=True, kw_only=True)
class Phase(Spec):
    """One training, in epochs; other attributes as of `FitRecipe`.

    Attributes:
      tenths_after: epochs after which the learning rate falls to a tenth.
    """

    epochs: int
    batch: int
    learning_rate: float = 1e-3
    tenths_after: tuple[int, ...] = ()
    optimizer: Literal["adam", "sgd"] = "adam"
    decay: Literal["tenths", "cosine"] = "tenths"
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "epochs is positive", self.epochs)
        require(self.batch >= 2, "batch is two or more", self.batch)
        require(
            all(0 < epoch < self.epochs for epoch in self.tenths_after),
            f"tenths_after are epochs between 0 and {self.epochs}",
            self.tenths_after,
        )

    def steps(self, images: int) -> int:
        """Of a set of so many images; the last batch of an epoch is a whole one."""
        return self.epochs * math.ceil(images / self.batch)

    def fit_recipe(self, images: int, seed: int) -> FitRecipe:
        """For a set of so many images, with a checkpoint after each epoch or so."""
        steps = self.steps(images)
        least, most = _CHECKPOINT_STEPS
        return FitRecipe(
            steps=steps,
            learning_rate=self.learning_rate,
            tenths_at=tuple(epoch / self.epochs for epoch in self.tenths_after),
            seed=seed,
            checkpoint_steps=min(max(steps // self.epochs, least), most),
            optimizer=self.optimizer,
            decay=self.decay,
            weight_decay=self.weight_decay,
        )


@dataclass(frozen=True, kw_only=True)
class _Squares(Spec):
    """Of every recipe.

    Attributes:
      crop_px, least_crop: of the squares of a batch, see `rdc.tasks.squares`.
    """

    crop_px: int = 224
    least_crop: float = 0.08**0.5

    def __post_init__(self) -> None:
        check_squares(self.crop_px, self.least_crop)


@dataclass(frozen=True, kw_only=True)
class StudentRecipe(_Squares):
    """Entropic Student: `stage_one_loss`, then `stage_two_loss` (rdc.split.losses).

    Attributes:
      beta: weight of the bits in stage one.
      stage_one: on all images, encoder, prior and decoder.
      stage_two: on labelled photographs, decoder and tail.
    """

    beta: float
    stage_one: Phase = Phase(epochs=10, batch=64, tenths_after=(5, 8))
    stage_two: Phase = Phase(
        epochs=10,
        batch=128,
        tenths_after=(5,),
        optimizer="sgd",
        weight_decay=5e-4,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.beta > 0, "beta is positive", self.beta)


@dataclass(frozen=True, kw_only=True)
class EndToEndRecipe(_Squares):
    """`end_to_end_loss` on labelled photographs.

    Attributes:
      beta: weight of a photograph's bits against cross-entropy in nats.
      from_scratch: or else the teacher's stages begin with its weights.
    """

    beta: float
    training: Phase = Phase(epochs=60, batch=256, decay="cosine", weight_decay=1e-4)
    from_scratch: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.beta > 0, "beta is positive", self.beta)


@dataclass(frozen=True, kw_only=True)
class ReductionRecipe(_Squares):
    """Channel reduction: `reduction_loss` on all images."""

    training: Phase = Phase(epochs=20, batch=32, tenths_after=(5, 10, 15))


Recipe = StudentRecipe | EndToEndRecipe | ReductionRecipe


def student(beta: float) -> StudentRecipe:
    """Published with a beta of .08, .16, .32, .64, 1.28, 2.56 and 5.12."""
    return StudentRecipe(beta=beta)


def end_to_end(beta: float) -> EndToEndRecipe:
    """Published with a beta of 1.28e-8, 1.024e-7, 2.048e-7, 8.192e-7 and 3.2768e-6."""
    return EndToEndRecipe(beta=beta)


def placement(beta: float) -> EndToEndRecipe:
    """Published as fine-tuning, with a beta of 1e-15 to 1e-4, by stage."""
    training = Phase(epochs=10, batch=256, tenths_after=(5, 8))
    return EndToEndRecipe(beta=beta, training=training, from_scratch=False)


def reduction() -> ReductionRecipe:
    """As the paper has it; its code takes a batch of 64."""
    return ReductionRecipe()


_MINI: dict[str, Any] = {"crop_px": 128, "least_crop": 0.5}  # as `rdc teachers` trains


def student_mini(beta: float) -> StudentRecipe:
    """Stage one sees some 1600 images, stage two 600 photographs."""
    return StudentRecipe(
        beta=beta,
        stage_one=Phase(epochs=4, batch=16, tenths_after=(3,)),
        stage_two=Phase(
            epochs=4, batch=32, tenths_after=(2,), optimizer="sgd", weight_decay=5e-4
        ),
        **_MINI,
    )


def end_to_end_mini(beta: float) -> EndToEndRecipe:
    training = Phase(epochs=20, batch=32, decay="cosine", weight_decay=1e-4)
    return EndToEndRecipe(beta=beta, training=training, **_MINI)


def placement_mini(beta: float) -> EndToEndRecipe:
    training = Phase(epochs=4, batch=32, tenths_after=(2, 3))
    return EndToEndRecipe(beta=beta, training=training, from_scratch=False, **_MINI)


def reduction_mini() -> ReductionRecipe:
    training = Phase(epochs=4, batch=16, tenths_after=(1, 2, 3))
    return ReductionRecipe(training=training, **_MINI)
