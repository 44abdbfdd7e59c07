"""Entropic Student: encoder, prior and decoder of one spec, before a teacher's tail."""

from __future__ import annotations

from typing import Any

from flax import nnx

from rdc.layers import Network, ParameterFactory
from rdc.split.base import Tables
from rdc.split.latents import LatentMethod
from rdc.split.network_specs import StudentSpec
from rdc.split.priors import LatentPrior

STAGE = 1  # of the teacher, whose output the decoder stands for


class Student(nnx.Module):
    """The networks that training and folders know."""

    def __init__(self, spec: StudentSpec, parameters: ParameterFactory):
        self.spec = spec
        self.encoder: Network = spec.encoder(parameters)
        self.prior = LatentPrior(parameters, spec.latent_channels, spec.hyper_channels)
        self.decoder: Network = spec.decoder(parameters)

    def method(
        self,
        teacher: Any,
        setting: str,
        name: str = "student",
        tables: Tables | None = None,
    ) -> LatentMethod:
        """The student before a teacher's tail.

        Args:
          name: `end_to_end` where the same networks and the tail were trained together.
          tables: of the prior, where they are stored.
        """
        return LatentMethod(
            name,
            setting,
            encoder=self.encoder,
            prior=self.prior,
            decoder=self.decoder,
            teacher=teacher,
            first_tail_stage=STAGE + 1,
            tables=tables,
        )
