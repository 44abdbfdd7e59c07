"""Input compression: a codec's stream, and the whole task network on the server."""

from __future__ import annotations

from typing import Any

import numpy as np

from rdc.codec.base import Codec
from rdc.identity import content_id
from rdc.split.base import (
    PARAMETER_BITS,
    SplitMethod,
    network_input,
    setting_of,
)


class InputCompression(SplitMethod):
    """Any `Codec` at one of its rates; its streams are the codec's own.

    Args:
      name: what the codec is called in tables.
      teacher: see `rdc.split.base.Teacher`.
    """

    def __init__(self, name: str, codec: Codec, rate: float, teacher: Any):
        super().__init__(teacher, 0)
        codec.check_point(rate)
        self.name, self.setting = name, f"rate={rate:g}"
        values = {
            "codec": codec.codec_id,
            "rate": rate,
            "setting": setting_of(codec, rate),
        }
        self.method_id = content_id("split_method", values)
        self._codec, self._rate = codec, rate
        cost = codec.cost()
        params = sum(
            part.params
            for part in (() if cost is None else cost.by_component)
            if part.side == "encode"
        )
        self.encoder_bits = PARAMETER_BITS * params or None

    def encode(self, image: np.ndarray) -> bytes:
        network_input(image)  # what the server would refuse is refused here
        return self._codec.encode(image, self._rate)

    def decode_features(self, data: bytes) -> np.ndarray:
        return network_input(self._codec.decode(data))

    def encoder_macs(self, height_px: int, width_px: int) -> float | None:
        cost = self._codec.cost(height_px, width_px)
        if cost is None:
            return None
        return cost.kmacs_per_px_encode * 1000 * height_px * width_px

    def decoder_macs(self, height_px: int, width_px: int) -> float | None:
        cost = self._codec.cost(height_px, width_px)
        if cost is None:
            return None
        return cost.kmacs_per_px * 1000 * height_px * width_px

    def feature_shape(self, height_px: int, width_px: int) -> tuple[int, int, int]:
        return height_px, width_px, 3
