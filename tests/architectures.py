"""Small architectures that cover the registry, for tests that build and train."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from rdc.entropy_models.charm2020 import Charm2020
from rdc.registry import REGISTRY, parse_architecture
from rdc.specs.components import ArchitectureSpec

# Small sizes of every registered component: a new component adds its line, and all
# law tests then run on it (`test_laws.py` fails where one is missing).
SMALL: dict[str, dict[str, dict]] = {
    "transform": {
        "conv": {"channels": [12, 16, 8], "latent_channels": 24},
        "elic": {"channels": [8, 12, 16], "latent_channels": 24, "residual_blocks": 1},
        "swint": {
            "widths": [8, 16, 8, 24],
            "depths": [2, 1, 1, 2],
            "window": 4,
            "head_dim": 8,
        },
        "evc": {
            "encoder_channels": [8, 12, 16],
            "decoder_channels": [6, 12, 20],
            "latent_channels": 24,
        },
        "one_scale": {
            "channels": 20,
            "latent_channels": 24,
            "encoder_blocks": 2,
            "decoder_blocks": 2,
        },
    },
    "entropy_model": {
        "factorized": {},
        "scale_hyperprior": {},
        "mean_scale_hyperprior": {},
        "charm2020": {
            "num_slices": 4,
            "max_support_slices": 2,
            "slice_channels": [10, 8],
            "kernels": [3, 3, 3],
        },
        "charm": {
            "num_slices": 4,
            "max_support_slices": 2,
            "slice_channels": [10, 8],
            "projection_channels": 6,
            "projection_kernel": 1,
        },
        "dual_spatial_prior": {},
        "quadtree_prior": {"trunk_blocks": 1},
    },
    "hyper_transform": {
        "conv": {"analysis_channels": [8, 12, 10], "synthesis_channels": [10, 14]},
        "swint": {"widths": [8, 16], "depths": [2, 1], "window": 4, "head_dim": 8},
        "evc": {"channels": 10},
        "one_scale": {"channels": 10},
    },
}


def small(
    transform: str, entropy_model: str, hyper_transform: str | None
) -> ArchitectureSpec:
    """The small architecture of these components."""
    names = {
        "transform": transform,
        "entropy_model": entropy_model,
        "hyper_transform": hyper_transform,
    }
    return parse_architecture(
        {
            kind: {"name": name, **SMALL[kind][name]}
            for kind, name in names.items()
            if name is not None
        }
    )


# CHARM as Zhu et al. 2022 have it, of slices that differ in width.
OWN_FEATURES = Charm2020(
    num_slices=4,
    max_support_slices=3,
    slice_channels=(10, 8),
    kernels=(3, 1, 3),
    slice_widths=(2, 4, 8, 10),
    slice_features="own",
    widening=True,
    lrp=False,
)


def _all() -> dict[str, ArchitectureSpec]:
    """Every pair of components meets in some architecture, and every triple of those
    of the study.
    """
    architectures = {}
    transforms, models, hypers = (list(table) for table in REGISTRY.values())
    later = {"evc", "one_scale", "dual_spatial_prior", "quadtree_prior"}
    pairs = product(enumerate(transforms), enumerate(models))
    for (i, transform), (j, model) in pairs:
        uses_hyper = REGISTRY["entropy_model"][model].uses_hyper_transform
        chosen = {hypers[(i + j) % len(hypers)]}
        if not later & {transform, model}:
            chosen |= {"conv", "swint"}
        for hyper in [h for h in hypers if h in chosen] if uses_hyper else [None]:
            architecture = small(transform, model, hyper)
            architectures[f"{transform}-{model}-{hyper}"] = architecture
    architectures["elic-charm2020_own-swint"] = replace(
        small("elic", "charm2020", "swint"), entropy_model=OWN_FEATURES
    )
    for names in (
        ("evc", "dual_spatial_prior", "evc"),
        ("one_scale", "quadtree_prior", "one_scale"),
    ):
        architectures["-".join(names)] = small(*names)
    return architectures


ALL: dict[str, ArchitectureSpec] = _all()
# Every component at least once, for laws that cost a compilation each.
COVERING: dict[str, ArchitectureSpec] = {
    name: ALL[name]
    for name in (
        "conv-factorized-None",
        "conv-scale_hyperprior-conv",
        "elic-mean_scale_hyperprior-conv",
        "elic-charm-swint",
        "swint-charm2020-conv",
        "elic-charm2020_own-swint",
        "evc-dual_spatial_prior-evc",
        "one_scale-quadtree_prior-one_scale",
    )
}
