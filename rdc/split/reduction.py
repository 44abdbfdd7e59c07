"""Channel reduction and bottleneck quantisation: one byte a value, no entropy coder."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
from flax import nnx

from rdc.codec.exported import named_weights, weights_sha256
from rdc.complexity import count_network
from rdc.errors import BitstreamError, DataError
from rdc.identity import content_id
from rdc.layers import Network, ParameterFactory
from rdc.split.base import (
    PARAMETER_BITS,
    SplitMethod,
    Tables,
    compiled,
    network_input,
)
from rdc.split.network_specs import ReductionSpec

STAGE = 1  # of the teacher, whose output the decoder stands for
_LEVELS = 255
_QUANTISATION = struct.Struct("<fB")  # scale, zero point


class Reduction(nnx.Module):
    """The networks that training and folders know."""

    def __init__(self, spec: ReductionSpec, parameters: ParameterFactory):
        self.spec = spec
        self.encoder: Network = spec.encoder(parameters)
        self.decoder: Network = spec.decoder(parameters)

    def method(
        self,
        teacher: Any,
        setting: str,
        name: str = "reduction",
        tables: Tables | None = None,
    ) -> ReductionMethod:
        """The bottleneck before a teacher's tail; it has no `tables`."""
        assert not tables
        return ReductionMethod(name, setting, self, teacher)


class ReductionMethod(SplitMethod):
    """The bottleneck in 8 bits, per photograph from its minimum to its maximum.

    The stream holds scale and zero point, then the levels as bytes. As in the
    benchmark, training knows nothing of the levels.
    """

    def __init__(self, name: str, setting: str, networks: Reduction, teacher: Any):
        super().__init__(teacher, STAGE + 1)
        self.name, self.setting = name, setting
        self._encoder, self._decoder = networks.encoder, networks.decoder
        self._run_encoder = compiled(networks.encoder)
        self._run_decoder = compiled(networks.decoder)
        weights = named_weights(nnx.state(networks.encoder)).values()
        self.encoder_bits = PARAMETER_BITS * sum(value.size for value in weights)
        self.method_id = content_id(
            "split_method", {"encoder": weights_sha256(networks.encoder)}
        )

    def encode(self, image: np.ndarray) -> bytes:
        y = np.asarray(self._run_encoder(network_input(image)))
        if not np.isfinite(y).all():
            raise DataError(
                "features are finite",
                "infinite or NaN ones",
                "the encoder has diverged",
            )
        scale, zero_point, levels = quantised(y)
        payload = _QUANTISATION.pack(scale, zero_point) + levels.tobytes()
        return self._packed(image, payload)

    def decode_features(self, data: bytes) -> np.ndarray:
        header, payload = self._unpacked(data)
        shape = self.bottleneck_shape(header.height_px, header.width_px)
        size = _QUANTISATION.size + math.prod(shape)
        if len(payload) != size:
            raise BitstreamError(
                f"a payload for {header.width_px} x {header.height_px} pixels has "
                f"{size} bytes",
                len(payload),
            )
        scale, zero_point = _QUANTISATION.unpack_from(payload)
        if not (math.isfinite(scale) and scale > 0):
            raise BitstreamError("the scale of 8 bits is a positive number", scale)
        levels = np.frombuffer(payload, np.uint8, offset=_QUANTISATION.size)
        y_hat = restored(scale, zero_point, levels.reshape(1, *shape))
        return np.asarray(self._run_decoder(y_hat))

    def bottleneck_shape(self, height_px: int, width_px: int) -> tuple[int, int, int]:
        """[h, w, C] of y: a byte each."""
        shape = count_network(self._encoder, (height_px, width_px, 3)).output_shape
        height, width, channels = shape
        return height, width, channels

    def encoder_macs(self, height_px: int, width_px: int) -> float:
        return count_network(self._encoder, (height_px, width_px, 3)).macs

    def decoder_macs(self, height_px: int, width_px: int) -> float:
        shape = self.bottleneck_shape(height_px, width_px)
        return count_network(self._decoder, shape).macs

    def feature_shape(self, height_px: int, width_px: int) -> tuple[int, int, int]:
        shape = self.bottleneck_shape(height_px, width_px)
        height, width, channels = count_network(self._decoder, shape).output_shape
        return height, width, channels


def quantised(x: np.ndarray) -> tuple[float, int, np.ndarray]:
    """(scale, zero point, u8 levels like x), affine in 8 bits.

    SC2 benchmark, after Jacob et al. 2018: the scale spans minimum to maximum, the zero
    point is the level of 0, cut to 0..255.
    """
    least, largest = float(x.min()), float(x.max())
    scale = float(np.float32(max((largest - least) / _LEVELS, 1e-12)))
    zero_point = int(min(max(-least / scale, 0), _LEVELS))
    levels = np.rint(np.clip(zero_point + x / np.float32(scale), 0, _LEVELS))
    return scale, zero_point, levels.astype(np.uint8)


def restored(scale: float, zero_point: int, levels: np.ndarray) -> np.ndarray:
    """What levels stand for, f32; the inverse of `quantised`."""
    return np.float32(scale) * (levels.astype(np.float32) - zero_point)
