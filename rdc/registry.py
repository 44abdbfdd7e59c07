"""The one registry: every component under its name.

To add a transform, a hyper-transform or an entropy model, write one file in its
folder and add one line here. Everything else follows: configuration groups, parsing,
counting, training, codec, and the law tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from rdc.entropy_models.charm import Charm
from rdc.entropy_models.charm2020 import Charm2020
from rdc.entropy_models.dual_spatial_prior import DualSpatialPrior
from rdc.entropy_models.factorized import Factorized
from rdc.entropy_models.mean_scale_hyperprior import MeanScaleHyperprior
from rdc.entropy_models.quadtree_prior import QuadtreePrior
from rdc.entropy_models.scale_hyperprior import ScaleHyperprior
from rdc.errors import ConfigError
from rdc.hyper_transforms.conv import ConvHyperTransform
from rdc.hyper_transforms.evc import EvcHyperTransform
from rdc.hyper_transforms.one_scale import OneScaleHyperTransform
from rdc.hyper_transforms.swint import SwinTHyperTransform
from rdc.identity import content_id
from rdc.specs.base import require, unknown_name
from rdc.specs.components import ArchitectureSpec, ComponentSpec
from rdc.transforms.conv import ConvTransform
from rdc.transforms.elic import ElicTransform
from rdc.transforms.evc import EvcTransform
from rdc.transforms.one_scale import OneScaleTransform
from rdc.transforms.swint import SwinTTransform

C = TypeVar("C", bound=ComponentSpec)


def _table(*components: type[C]) -> dict[str, type[C]]:
    table: dict[str, type[C]] = {}
    for component in components:
        if component.name in table:
            raise ConfigError("component names are unique", component.name)
        table[component.name] = component
    return table


REGISTRY: dict[str, dict[str, type[ComponentSpec]]] = {
    "transform": _table(
        ConvTransform,
        ElicTransform,
        SwinTTransform,
        EvcTransform,
        OneScaleTransform,
    ),
    "entropy_model": _table(
        Factorized,
        ScaleHyperprior,
        MeanScaleHyperprior,
        Charm2020,
        Charm,
        DualSpatialPrior,
        QuadtreePrior,
    ),
    "hyper_transform": _table(
        ConvHyperTransform,
        SwinTHyperTransform,
        EvcHyperTransform,
        OneScaleHyperTransform,
    ),
}


def parse_component(kind: str, values: Mapping[str, Any] | str) -> ComponentSpec:
    """Builds a component spec from `{"name": ..., field: value, ...}` or its name.

    Raises:
      ConfigError: for an unknown name, key or value.
    """
    if isinstance(values, str):
        values = {"name": values}
    fields = dict(values)
    name = fields.pop("name", None)
    table = REGISTRY[kind]
    if name not in table:
        raise unknown_name(kind, name, sorted(table))
    return table[name].from_dict(fields, where=kind)


def parse_architecture(values: Mapping[str, Any]) -> ArchitectureSpec:
    """Builds an architecture from plain data, as in `spec.json` or a grid block.

    Args:
      values: `transform`, `entropy_model` and, where the entropy model uses one,
        `hyper_transform`; each a name or a mapping with `name`. `encoders`, where
        there are several.
    """
    for key in values:
        if key not in (*REGISTRY, "encoders"):
            raise unknown_name("key of architecture", key, [*REGISTRY, "encoders"])
    parts: dict[str, Any] = {
        kind: parse_component(kind, values[kind])
        for kind in REGISTRY
        if values.get(kind) is not None
    }
    for kind in ("transform", "entropy_model"):
        if kind not in parts:
            raise ConfigError(
                f"an architecture has a {kind}", "none", f"add {kind}=NAME"
            )
    encoders = values.get("encoders")
    if encoders is not None:
        require(
            isinstance(encoders, int) and not isinstance(encoders, bool),
            "encoders is a whole number",
            repr(encoders),
        )
        parts["encoders"] = encoders
    return ArchitectureSpec(**parts)


def arch_id(architecture: ArchitectureSpec) -> str:
    """Identity of the resolved architecture, 16 hex digits."""
    return content_id("architecture", architecture.identity())
