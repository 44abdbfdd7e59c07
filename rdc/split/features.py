"""Feature compression: the teacher's features as pictures of an image codec."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from rdc.codec.classical import ClassicalCodec
from rdc.codec.exported import weights_sha256
from rdc.complexity import count_network
from rdc.errors import BitstreamError, DataError
from rdc.identity import content_id
from rdc.split.base import (
    Front,
    SplitMethod,
    compiled,
    front_bits,
    network_input,
    setting_of,
)
from rdc.split.network_specs import check_stage

_GROUP = struct.Struct("<ffI")  # least value, largest value, bytes of the picture


class FeatureCompression(SplitMethod):
    """Channels in triples, each from its minimum to its maximum in 8 bits, then coded.

    Channels that make no triple go one by one, as grey pictures. The benchmark's code
    divides by the maximum; this by maximum - minimum, so that 8 bits suffice whatever
    the features' sign.

    Args:
      stage: of the teacher, whose output is coded.
      rate: of the codec.
    """

    def __init__(self, codec: ClassicalCodec, rate: int, teacher: Any, stage: int):
        check_stage(stage)
        codec.check_point(rate)
        super().__init__(teacher, stage + 1)
        self.name = f"features_{codec.spec.name}"
        self.setting = f"stage={stage},rate={rate}"
        self.encoder_bits = front_bits(teacher, stage)
        self._front = Front(teacher, stage)
        self._run_front = compiled(self._front)
        self._codec, self._rate = codec, rate
        self.method_id = content_id(
            "split_method",
            {
                "codec": codec.codec_id,
                "rate": rate,
                "setting": setting_of(codec, rate),
                "stage": stage,
                "teacher": weights_sha256(teacher),
            },
        )

    def encode(self, image: np.ndarray) -> bytes:
        features = np.asarray(self._run_front(network_input(image)))[0]
        if not np.isfinite(features).all():
            raise DataError(
                "features are finite",
                "infinite or NaN ones",
                "the teacher has diverged",
            )
        payload = bytearray()
        for group in _groups(features.shape[-1]):
            part = features[..., group]
            least, largest = part.min(), part.max()
            levels = np.rint((part - least) * (255 / max(largest - least, 1e-12)))
            picture = np.broadcast_to(levels, (*levels.shape[:2], 3)).astype(np.uint8)
            stream = self._codec.encode(picture, self._rate)
            payload += _GROUP.pack(least, largest, len(stream)) + stream
        return self._packed(image, bytes(payload))

    def decode_features(self, data: bytes) -> np.ndarray:
        header, payload = self._unpacked(data)
        shape = self.feature_shape(header.height_px, header.width_px)
        features = np.empty((1, *shape), np.float32)
        position = 0
        for group in _groups(shape[-1]):
            if len(payload) < position + _GROUP.size:
                raise _refused(f"{len(payload)} bytes")
            least, largest, size = _GROUP.unpack_from(payload, position)
            position += _GROUP.size
            picture = self._codec.decode(payload[position : position + size])
            position += size
            if picture.shape[:2] != shape[:2]:
                raise _refused(f"a picture of {picture.shape[1]} x {picture.shape[0]}")
            levels = picture[..., : group.stop - group.start].astype(np.float32)
            features[0, ..., group] = least + levels * ((largest - least) / 255)
        if position != len(payload):
            raise _refused(f"{len(payload)} bytes in place of {position}")
        return features

    def encoder_macs(self, height_px: int, width_px: int) -> float:
        return count_network(self._front, (height_px, width_px, 3)).macs

    def decoder_macs(self, height_px: int, width_px: int) -> None:
        """Nobody counted the image codec."""

    def feature_shape(self, height_px: int, width_px: int) -> tuple[int, int, int]:
        height, width, channels = count_network(
            self._front, (height_px, width_px, 3)
        ).output_shape
        return height, width, channels


def _groups(channels: int) -> list[slice]:
    triples = channels // 3 * 3
    return [slice(i, i + 3) for i in range(0, triples, 3)] + [
        slice(i, i + 1) for i in range(triples, channels)
    ]


def _refused(found: str) -> BitstreamError:
    return BitstreamError(
        "a stream of features holds one picture for each three channels", found
    )
