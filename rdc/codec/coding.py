"""What encoder and decoder of a trained model have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from rdc.codec.exported import ExportedModel
from rdc.codec.networks import CompiledNetworks
from rdc.codec.numerics import NUMERICS
from rdc.codec.symbols import Portion, SymbolPortion
from rdc.codec.tiles import Size
from rdc.codec.transform_networks import TransformNetworks

Shapes = dict[str, tuple[int, int, int]]  # [h, w, channels] of y, and of z


class Coding:
    """Compiled networks of a model, and how its coding steps meet the entropy coder."""

    def __init__(self, exported: ExportedModel):
        self.exported = exported
        self.transforms = TransformNetworks(exported.model)
        self._networks: dict[str, CompiledNetworks] = {}

    def networks(self, numerics: str) -> CompiledNetworks:
        if numerics not in self._networks:
            networks = CompiledNetworks(self.exported.model, NUMERICS[numerics])
            self._networks[numerics] = networks
        return self._networks[numerics]

    def portion(
        self, step: Any, parameters: Any, shapes: Shapes, rate: float
    ) -> Portion:
        """How the symbols of one step are coded.

        Args:
          parameters: `rdc.codec.networks.HostParameters` of one image, or
            `rdc.codec.resident.ResidentParameters`; of no use to the prior.
        """
        if step.tables == "prior":
            tables = self.exported.prior(rate)
            portion = Portion.of_prior(shapes[step.latent], tables, step.gains)
            if step.is_resident:
                return SymbolPortion(0, portion.table_index, tables)
            return portion
        if step.is_resident:
            index, checksum = parameters.table_index, parameters.checksum
            tables = self.exported.gaussian
            return SymbolPortion(0, index, tables, checksum=checksum)
        return Portion.of_gaussian(
            parameters, self.exported.gaussian, step.gains, step.is_final
        )

    def shapes(self, image_px: Size) -> Shapes:
        """Of the latents of an image, without its padding."""
        y_shape, z_shape = self.exported.model.spec.latent_shapes(*image_px)
        return {"y": y_shape} if z_shape is None else {"y": y_shape, "z": z_shape}

    def padded_px(self, image_px: Size) -> Size:
        return self.exported.model.spec.padded_px(*image_px)

    def padded(self, x: np.ndarray) -> np.ndarray:
        """u8[H,W,3] -> u8[1,H',W',3], its edges repeated."""
        height, width = x.shape[:2]
        rows, columns = self.padded_px((height, width))
        pads = (0, rows - height), (0, columns - width), (0, 0)
        return (np.pad(x, pads, mode="edge") if np.any(pads) else x)[None]
