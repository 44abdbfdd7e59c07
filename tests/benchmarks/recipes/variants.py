"""What the study of recipes trains: small architectures, and variants of one recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from rdc.entropy_models.charm import Charm
from rdc.entropy_models.mean_scale_hyperprior import MeanScaleHyperprior
from rdc.hyper_transforms.conv import ConvHyperTransform
from rdc.specs.components import ArchitectureSpec
from rdc.specs.recipe import Recipe
from rdc.transforms.conv import ConvTransform
from rdc.transforms.elic import ElicTransform
from rdc.transforms.swint import SwinTTransform

LMBDA = 0.0125
AVERAGES = (0.99,)  # beside the last weights, in every trial
_HYPER = ConvHyperTransform(analysis_channels=(64, 64, 64), synthesis_channels=(64, 96))

ARCHITECTURES = {
    "conv": ArchitectureSpec(
        transform=ConvTransform(channels=(16, 32, 80), latent_channels=128),
        entropy_model=MeanScaleHyperprior(),
        hyper_transform=_HYPER,
    ),
    "conv, half": ArchitectureSpec(
        transform=ConvTransform(channels=(8, 16, 40), latent_channels=128),
        entropy_model=MeanScaleHyperprior(),
        hyper_transform=_HYPER,
    ),
    "elic": ArchitectureSpec(
        transform=ElicTransform(
            channels=(12, 24, 48), latent_channels=96, residual_blocks=1
        ),
        entropy_model=Charm(
            num_slices=4,
            max_support_slices=3,
            slice_channels=(48, 32),
            projection_channels=32,
            projection_kernel=1,
        ),
        hyper_transform=_HYPER,
    ),
    "swint": ArchitectureSpec(
        transform=SwinTTransform(
            widths=(16, 32, 64, 128), depths=(1, 1, 1, 1), head_dim=16, window=4
        ),
        entropy_model=MeanScaleHyperprior(),
        hyper_transform=_HYPER,
    ),
}

BASE = Recipe(
    batch_size=2,
    crop_px=192,
    learning_rate=1e-3,
    warmup_steps=30,
    decay_start=0.3,
    final_learning_rate_ratio=0.01,
    start="principal_components",
)
SCREENING_SECONDS = 40.0


@dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
      seconds: of the processor, crops included, evaluation and compilation not.
      steps: in place of `seconds`.
      init_from: name of an earlier trial of the same process.
    """

    variant: str
    architecture: str
    recipe: Recipe
    optimiser: str = "adam"
    seconds: float = SCREENING_SECONDS
    steps: int | None = None
    lmbda: float = LMBDA
    init_from: str | None = None

    @property
    def identity(self) -> tuple[Any, ...]:
        return (self.variant, self.architecture, self.recipe.seed)

    @property
    def name(self) -> str:
        return "/".join(map(str, self.identity))

    def speed_kind(self) -> tuple[Any, ...]:
        """Trials of one kind have the same time per step."""
        r = self.recipe
        return (
            *(self.architecture, self.optimiser, r.batch_size, r.crop_px, r.precision),
            *(r.flips, r.upscaling),
        )


# variant -> (optimiser, changes of BASE)
SCREENED: dict[str, tuple[str, dict[str, Any]]] = {
    "base": ("adam", {}),
    "frequencies": ("adam in frequencies", {}),
    "4 x 128 px": ("adam", {"batch_size": 4, "crop_px": 128}),
    "1 x 256 px": ("adam", {"batch_size": 1, "crop_px": 256}),
    "rate 2e-3": ("adam", {"learning_rate": 2e-3}),
    "rate 4e-4": ("adam", {"learning_rate": 4e-4}),
    "upscaling 1.6": ("adam", {"upscaling": 1.6}),
    "soap": ("soap", {"learning_rate": 3e-3}),
    "decay from 0": ("adam", {"decay_start": 0.0}),
    "muon": ("muon", {"learning_rate": 2e-3}),
    "schedule-free": ("schedule_free", {"learning_rate": 2e-3}),
    "frequencies, rate 2e-3": ("adam in frequencies", {"learning_rate": 2e-3}),
    "flips": ("adam", {"flips": True}),
    "decay from 0.5": ("adam", {"decay_start": 0.5}),
    "b2 0.99": ("adam, b2 0.99", {}),
    "adan": ("adan", {}),
    "ademamix": ("ademamix", {}),
    "final ratio 0.1": ("adam", {"final_learning_rate_ratio": 0.1}),
    "1 x 192 px": ("adam", {"batch_size": 1}),
    "2 x 128 px": ("adam", {"batch_size": 2, "crop_px": 128}),
    "start random": ("adam", {"start": "random"}),
    "bfloat16": ("adam", {"precision": "bfloat16"}),
}


NEIGHBOUR, NARROWER = "neighbour, lambda 0.025", "narrower by half"
FINALISTS = ("base", "frequencies", "frequencies, rate 2e-3")
SEEDS = (0, 1, 2)


def trial(variant: str, architecture: str = "conv", seed: int = 0) -> Trial:
    optimiser, changes = SCREENED[variant]
    recipe = replace(BASE, seed=seed, **changes)
    return Trial(variant, architecture, recipe, optimiser)


def screening() -> Iterator[Trial]:
    yield from map(trial, SCREENED)


def finalists() -> Iterator[Trial]:
    """Every family, seed by seed."""
    for seed in SEEDS:
        for architecture in ("conv", "elic", "swint"):
            for variant in FINALISTS:
                yield trial(variant, architecture, seed)


def initial_weights() -> Iterator[Trial]:
    """Of a model of a neighbouring rate, and of a narrower one, each trained before."""
    base = trial("base")
    neighbour = replace(base, variant=NEIGHBOUR, lmbda=0.025)
    yield neighbour
    yield replace(base, variant="from the neighbour", init_from=neighbour.name)
    narrower = replace(base, variant=NARROWER, architecture="conv, half")
    yield narrower
    yield replace(base, variant="from the narrower", init_from=narrower.name)


STUDIES: dict[str, Callable[[], Iterator[Trial]]] = {
    "screening": screening,
    "finalists": finalists,
    "initial_weights": initial_weights,
}
