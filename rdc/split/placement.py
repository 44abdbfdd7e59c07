"""Placement: the prior directly on the output of a stage of the teacher, or after its
pooling.
"""

from __future__ import annotations

from typing import Any

from flax import nnx

from rdc.layers import Network, ParameterFactory
from rdc.split.base import Front, Tables, front_bits
from rdc.split.latents import LatentMethod
from rdc.split.network_specs import PlacementSpec
from rdc.split.priors import LatentPrior


class Placement(nnx.Module):
    """The prior; all else is the teacher's."""

    def __init__(self, spec: PlacementSpec, parameters: ParameterFactory):
        self.spec = spec
        self.prior = LatentPrior(parameters, spec.channels)

    def method(
        self,
        teacher: Any,
        setting: str,
        name: str = "placement",
        tables: Tables | None = None,
    ) -> LatentMethod:
        """The teacher's stages up to the cut, the prior, the teacher's other stages."""
        stage = self.spec.stage
        return LatentMethod(
            name,
            setting,
            encoder=Front(teacher, stage),
            prior=self.prior,
            decoder=Network(),
            teacher=teacher,
            first_tail_stage=stage + 1,
            encoder_bits=front_bits(teacher, stage),
            tables=tables,
        )
