"""Photographs as arrays: 8-bit RGB, whatever the file holds."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from rdc.errors import DataError

MAX_PIXELS = 2**28  # 16384 x 16384; also the limit of the `.rdc` format
# `_opened` checks our limit; Pillow's own would warn from 89 megapixels on.
Image.MAX_IMAGE_PIXELS = None

# What Pillow is known to raise on damaged files.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
)
_GREY_MODES = ("1", "L", "LA", "La")
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
# Complete files of these formats end with a marker.
_END_MARKERS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
_TAIL_BYTES = 64


def read_image(path: Path) -> np.ndarray:
    """Decodes an image file to u8[H,W,3].

    The EXIF orientation is applied, grey becomes three equal channels, transparency
    is composited on white, and of several frames the first is taken. Colour profiles
    are ignored: samples are taken as they are stored.

    Raises:
      DataError: missing, empty, truncated, not an image, over 8 bits per channel, or
        over 2^28 pixels.
    """
    with _opened(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode in _ALPHA_MODES or "transparency" in upright.info:
            upright = upright.convert("RGBA")
            white = Image.new("RGBA", upright.size, "white")
            upright = Image.alpha_composite(white, upright)
        return np.array(upright.convert("RGB"))


def is_grey(path: Path) -> bool:
    """Whether a file stores no colours; equal channels of a colour file do not count.

    Raises:
      DataError: as `read_image`, but for damage behind the header.
    """
    with _opened(path) as image:
        return image.mode in _GREY_MODES


def read_indices(path: Path) -> np.ndarray:
    """The numbers that a palette or grey file stores, u8[H,W]: no colours.

    Raises:
      DataError: a file of colours, or as `read_image`.
    """
    with _opened(path) as image:
        if image.mode not in ("P", "L"):
            raise DataError(
                "numbers of pixels are stored in a palette or grey file",
                f"mode {image.mode} in {path}",
                "store the numbers, not the colours that stand for them",
            )
        return np.array(image)


def png_bytes(image: np.ndarray) -> bytes:
    """u8[H,W,3] as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


def decoded_bytes(path: Path) -> int:
    """Size of what `read_image` returns, from the header alone.

    Raises:
      DataError: as `read_image`, but for damage behind the header.
    """
    with _opened(path) as image:
        return image.width * image.height * 3


def checked_size_px(path: Path) -> tuple[int, int]:
    """Height and width, in pixels, of a file that is complete, at the least cost.

    Reads the header and the end of the file, and decodes it only where these cannot
    tell whether it was cut. Damage amid a file shows in `read_image` alone.

    Raises:
      DataError: as `read_image`.
    """
    with _opened(path) as image:
        marker = _END_MARKERS.get(image.format or "")
        if marker is None or marker not in _tail(path):
            image.load()
        return image.height, image.width


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(
                    f"images have at most {MAX_PIXELS} pixels",
                    f"{image.width} x {image.height} in {path}",
                )
            # Pillow drops the low byte of 16-bit RGB without a word; the raw mode of
            # the tiles still tells.
            if image.mode[0] in "IF" or ";16" in str(image.tile):
                raise DataError(
                    "images have 8 bits per channel",
                    f"more in {path}",
                    "convert it to 8 bits first",
                )
            yield image
    except DataError:
        raise
    except DECODER_ERRORS as error:
        raise _unreadable(Path(path), error) from error


def _tail(path: Path) -> bytes:
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        return file.read()


def _unreadable(path: Path, error: Exception) -> DataError:
    if not path.exists():
        return DataError("image files exist", f"no {path}", "check the path")
    if path.is_file() and path.stat().st_size == 0:
        return DataError(
            "image files hold an image", f"0 bytes in {path}", "remove the file"
        )
    return DataError(
        "image files can be decoded",
        f"{path} ({str(error).splitlines()[0]})",
        "remove the file or replace it with a whole copy",
    )
