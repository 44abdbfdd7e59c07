"""JPEG, WebP, AVIF and JPEG 2000 by Pillow, as codecs with operating points."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL
from PIL import Image, features

from rdc.codec.base import Codec, Decoded, Encoded, check_image_array
from rdc.data.images import DECODER_ERRORS, MAX_PIXELS
from rdc.errors import BitstreamError, ConfigError, DataError
from rdc.specs.classical import ClassicalSpec
from rdc.specs.coding import OperatingPoint

_MAX_LEVELS = 5  # of JPEG 2000's wavelet: its default


@dataclass(frozen=True)
class _Format:
    """How Pillow writes a codec.

    Attributes:
      name: Pillow's.
      feature, library: what `PIL.features` calls the codec and its implementation.
      options: (spec, setting, image) -> arguments of `Image.save`.
      end: of every whole file, where its decoder would not miss it.
    """

    name: str
    feature: str
    library: str
    options: Callable[[ClassicalSpec, float, Image.Image], dict[str, Any]]
    end: bytes = b""


def _jpeg(spec: ClassicalSpec, quality: float, image: Image.Image) -> dict[str, Any]:
    return {
        "quality": int(quality),
        "subsampling": spec.subsampling,
        "optimize": True,
    }


def _webp(spec: ClassicalSpec, quality: float, image: Image.Image) -> dict[str, Any]:
    return {"quality": quality, "method": 6}


def _avif(spec: ClassicalSpec, quality: float, image: Image.Image) -> dict[str, Any]:
    return {"quality": int(quality), "subsampling": spec.subsampling, "speed": 6}


def _jpeg2000(spec: ClassicalSpec, ratio: float, image: Image.Image) -> dict[str, Any]:
    levels = min(_MAX_LEVELS, min(image.size).bit_length() - 1)
    return {
        "no_jp2": True,  # the codestream alone, without the boxes of a file
        "quality_mode": "rates",
        "quality_layers": [ratio],
        "irreversible": True,
        "num_resolutions": levels + 1,
    }


_END_OF_IMAGE = b"\xff\xd9"
_FORMATS: dict[str, _Format] = {
    "jpeg": _Format("JPEG", "jpg", "libjpeg_turbo", _jpeg, _END_OF_IMAGE),
    "webp": _Format("WEBP", "webp", "webp", _webp),
    "avif": _Format("AVIF", "avif", "avif", _avif),
    "jpeg2000": _Format("JPEG2000", "jpg_2000", "jpg_2000", _jpeg2000, _END_OF_IMAGE),
}


class ClassicalCodec(Codec):
    """A codec of Pillow; rate i is `spec.settings[i]`.

    Attributes:
      version: of Pillow and of the library behind it.

    Raises:
      ConfigError: this Pillow was built without the codec.
    """

    def __init__(self, spec: ClassicalSpec):
        self.spec = spec
        self._format = _FORMATS[spec.name]
        if not features.check(self._format.feature):
            raise ConfigError(
                f"codec {spec.name} is there in Pillow",
                f"Pillow {PIL.__version__} without it",
                "install Pillow's own wheel, 11.3 or newer",
            )
        library = self._format.library
        self.version = (
            f"Pillow {PIL.__version__}, {library} {features.version(library)}"
        )
        self.codec_id = spec.codec_id
        self.operating_points = tuple(
            OperatingPoint(rate=i, setting=v) for i, v in enumerate(spec.settings)
        )

    def encoded(self, x: np.ndarray, rate: float = 0, effort: int = 0) -> Encoded:
        check_image_array(x)
        self.check_point(rate, effort)
        image = Image.fromarray(x)
        options = self._format.options(self.spec, self.spec.settings[int(rate)], image)
        buffer = io.BytesIO()
        try:
            image.save(buffer, self._format.name, **options)
        except (OSError, ValueError) as error:
            raise DataError(
                f"codec {self.spec.name} takes the image",
                f"{x.shape[1]} x {x.shape[0]} pixels ({error})",
            ) from error
        return Encoded(buffer.getvalue())

    def decoded(self, data: bytes) -> Decoded:
        if not data.endswith(self._format.end):
            raise self._refused("no end")
        try:
            with Image.open(io.BytesIO(data), formats=[self._format.name]) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise self._refused(f"{image.width} x {image.height} pixels")
                return Decoded(np.array(image.convert("RGB")))
        except (*DECODER_ERRORS, RuntimeError) as error:
            if isinstance(error, BitstreamError):
                raise
            raise self._refused(str(error)) from error

    def cost(self, height_px: int = 512, width_px: int = 768) -> None:
        """Nobody counted."""

    def _refused(self, found: str) -> BitstreamError:
        return BitstreamError(
            f"a stream of codec {self.spec.name} is whole and of at most {MAX_PIXELS} "
            "pixels",
            found,
            "fetch the file again",
        )
