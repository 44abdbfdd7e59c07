"""Named architectures, and how models are built from specs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rdc.entropy_models.charm import Charm
from rdc.entropy_models.charm2020 import Charm2020
from rdc.entropy_models.dual_spatial_prior import DualSpatialPrior
from rdc.entropy_models.factorized import Factorized
from rdc.entropy_models.mean_scale_hyperprior import MeanScaleHyperprior
from rdc.entropy_models.quadtree_prior import QuadtreePrior
from rdc.entropy_models.scale_hyperprior import ScaleHyperprior
from rdc.hyper_transforms.conv import ConvHyperTransform
from rdc.hyper_transforms.evc import EvcHyperTransform
from rdc.hyper_transforms.one_scale import OneScaleHyperTransform
from rdc.hyper_transforms.swint import SwinTHyperTransform
from rdc.specs.base import unknown_name
from rdc.specs.components import ArchitectureSpec
from rdc.transforms.conv import ConvTransform
from rdc.transforms.elic import ElicTransform
from rdc.transforms.evc import EvcTransform
from rdc.transforms.one_scale import OneScaleTransform
from rdc.transforms.swint import SwinTTransform

if TYPE_CHECKING:
    from rdc.model import CompressionModel


def _elic_charm_swint(
    channels: tuple[int, int, int], residual_blocks: int, slice_channels: tuple
) -> ArchitectureSpec:
    return ArchitectureSpec(
        transform=ElicTransform(channels=channels, residual_blocks=residual_blocks),
        entropy_model=Charm(slice_channels=slice_channels),
        hyper_transform=SwinTHyperTransform(),
    )


# Models A to G of Minnen & Johnston 2023 (arXiv 2311.12821), table 1. The paper gives
# their family, parameters and FLOPs but not their widths: these are a reconstruction
# that meets the published figures within 1 % (see docs/architectures.md).
_STUDY = {
    "rdc_a": _elic_charm_swint((256, 256, 256), 3, (224, 128)),
    "rdc_b": _elic_charm_swint((128, 256, 256), 2, (192, 96)),
    "rdc_c": _elic_charm_swint((96, 128, 160), 3, (224, 128)),
    "rdc_d": _elic_charm_swint((96, 160, 224), 2, (128, 64)),
    "rdc_e": ArchitectureSpec(
        transform=SwinTTransform(widths=(96, 96, 192, 320), depths=(2, 2, 4, 2)),
        entropy_model=MeanScaleHyperprior(),
        hyper_transform=ConvHyperTransform(),
    ),
    "rdc_f": ArchitectureSpec(
        transform=ElicTransform(channels=(64, 128, 256)),
        entropy_model=MeanScaleHyperprior(),
        hyper_transform=ConvHyperTransform(),
    ),
    "rdc_g": ArchitectureSpec(
        transform=ConvTransform(channels=(112, 160, 192)),
        entropy_model=MeanScaleHyperprior(),
        hyper_transform=ConvHyperTransform(),
    ),
}

# Published models with their published widths.
_REFERENCES = {
    # Balle et al. 2018 (arXiv 1802.01436), the widths for higher rates.
    "bmshj2018_factorized": ArchitectureSpec(
        transform=ConvTransform(gdn_form="original"), entropy_model=Factorized()
    ),
    "bmshj2018_hyperprior": ArchitectureSpec(
        transform=ConvTransform(gdn_form="original"),
        entropy_model=ScaleHyperprior(),
        hyper_transform=ConvHyperTransform(
            analysis_channels=(192, 192, 192), synthesis_channels=(192, 192)
        ),
    ),
    # Minnen et al. 2018 (arXiv 1809.02736), without the spatial context model.
    "mbt2018_mean": ArchitectureSpec(
        transform=ConvTransform(gdn_form="original"),
        entropy_model=MeanScaleHyperprior(),
        hyper_transform=ConvHyperTransform(
            analysis_channels=(192, 192, 192), synthesis_channels=(320, 480)
        ),
    ),
    # Minnen & Singh 2020 (arXiv 2007.08739).
    "minnen2020_charm": ArchitectureSpec(
        transform=ConvTransform(),
        entropy_model=Charm2020(),
        hyper_transform=ConvHyperTransform(
            analysis_channels=(320, 256, 192),
            synthesis_channels=(192, 256),
            synthesis_branches=2,
        ),
    ),
    # The transforms of He et al. 2022 (arXiv 2203.10886) with CHARM in place of its
    # uneven space-channel context.
    "elic2022_transform_charm": ArchitectureSpec(
        transform=ElicTransform(),
        entropy_model=Charm2020(),
        hyper_transform=ConvHyperTransform(
            analysis_channels=(320, 256, 192),
            synthesis_channels=(192, 256),
            synthesis_branches=2,
        ),
    ),
    # Zhu, Yang & Cohen 2022.
    "zhu2022_swint_hyperprior": ArchitectureSpec(
        transform=SwinTTransform(),
        entropy_model=MeanScaleHyperprior(),
        hyper_transform=SwinTHyperTransform(),
    ),
    # Its CHARM as in the open reproduction github.com/Nikolai10/SwinT-ChARM, whose
    # parameters agree with the authors' (32.6 M).
    "zhu2022_swint_charm": ArchitectureSpec(
        transform=SwinTTransform(),
        entropy_model=Charm2020(
            max_support_slices=9,
            slice_channels=(64, 32),
            kernels=(3, 3, 3),
            slice_features="own",
            widening=True,
            lrp=False,
        ),
        hyper_transform=SwinTHyperTransform(),
    ),
}

# EVC (Wang et al. 2023, arXiv 2302.05071), widths of one side by name, from the image
# inwards; y has 192 channels in all of them.
_EVC_WIDTHS = {"l": (192, 192, 192), "m": (128, 128, 192), "s": (64, 64, 128)}


def _evc(encoder: str, decoder: str) -> ArchitectureSpec:
    return ArchitectureSpec(
        transform=EvcTransform(
            encoder_channels=_EVC_WIDTHS[encoder], decoder_channels=_EVC_WIDTHS[decoder]
        ),
        entropy_model=DualSpatialPrior(),
        hyper_transform=EvcHyperTransform(),
    )


# evc_sl: the small encoder with the large decoder; evc_s is evc_ss.
_LINE_OF_EVC = {
    **{f"evc_{e}{d}": _evc(e, d) for e in _EVC_WIDTHS for d in _EVC_WIDTHS},
    **{f"evc_{size}": _evc(size, size) for size in _EVC_WIDTHS},
    # github.com/microsoft/DCVC, 2026, without scales per rate inside its transforms.
    "dcvc_uf_intra": ArchitectureSpec(
        transform=OneScaleTransform(),
        entropy_model=QuadtreePrior(),
        hyper_transform=OneScaleHyperTransform(),
    ),
}

# Of the models that come with the package.
_OWN = {
    "best": ArchitectureSpec(
        transform=ElicTransform(
            channels=(28, 72, 160), latent_channels=192, residual_blocks=1
        ),
        entropy_model=MeanScaleHyperprior(),
        hyper_transform=ConvHyperTransform(
            analysis_channels=(96, 96, 96), synthesis_channels=(128, 192)
        ),
    ),
    "light": ArchitectureSpec(
        transform=ConvTransform(channels=(48, 64, 128), latent_channels=192),
        entropy_model=MeanScaleHyperprior(),
        hyper_transform=ConvHyperTransform(
            analysis_channels=(64, 64, 64), synthesis_channels=(96, 128)
        ),
    ),
}

NAMED: dict[str, ArchitectureSpec] = {**_STUDY, **_REFERENCES, **_LINE_OF_EVC, **_OWN}


def resolve(spec_or_name: ArchitectureSpec | str) -> ArchitectureSpec:
    """The spec itself, or that of a named architecture.

    Raises:
      ConfigError: no architecture has this name.
    """
    if isinstance(spec_or_name, ArchitectureSpec):
        return spec_or_name
    if spec_or_name not in NAMED:
        raise unknown_name("architecture", spec_or_name, list(NAMED))
    return NAMED[spec_or_name]


def build(
    spec_or_name: ArchitectureSpec | str,
    seed: int | None = 0,
    rates: Sequence[float] = (),
) -> CompressionModel:
    """Builds the model with initial weights.

    Args:
      seed: of the initial weights; None gives shapes without weights.
      rates: its values of lambda, ascending; of several, it gets gains for each.
    """
    from rdc.layers import ParameterFactory
    from rdc.model import CompressionModel

    return CompressionModel(resolve(spec_or_name), ParameterFactory(seed), rates)
