"""What `rdc compress` and `rdc decompress` do to one file."""

from __future__ import annotations

import abc
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rdc.data.image_sets import list_images
from rdc.data.images import png_bytes, read_image
from rdc.errors import DataError
from rdc.system.user_cache import compilation_cache

if TYPE_CHECKING:
    from rdc.codec import Codec

STREAM_SUFFIX = ".rdc"


@dataclass(frozen=True)
class Coded:
    """Content of one output file.

    Attributes:
      data: the bytes to write.
      stream_bytes: of the bitstream, be it input or output.
    """

    data: bytes
    stream_bytes: int
    height_px: int
    width_px: int

    @property
    def bpp(self) -> float:
        return 8 * self.stream_bytes / (self.height_px * self.width_px)


@dataclass(frozen=True)
class Operation(abc.ABC):
    """One direction with its settings; can be sent to other processes.

    Attributes:
      settings: arguments of `Codec.load`, as (name, value).
    """

    settings: tuple[tuple[str, Any], ...]
    suffix: ClassVar[str]  # of the output

    @abc.abstractmethod
    def inputs(self, folder: Path) -> list[Path]:
        """The files of `folder` to work on, at all depths; raises `DataError`."""

    @abc.abstractmethod
    def run(self, source: Path) -> Coded:
        """Works on one file; loads the model where this process has not yet.

        Raises:
          DataError, BitstreamError: the file is at fault.
          ConfigError, StorageError: model or settings are.
        """


class Compression(Operation):
    """Image file -> bitstream."""

    suffix = STREAM_SUFFIX

    def inputs(self, folder: Path) -> list[Path]:
        return list_images(folder)

    def run(self, source: Path) -> Coded:
        x = read_image(source)
        data = _codec(self.settings).compress(x)
        return Coded(data, len(data), *x.shape[:2])


class VerifiedCompression(Compression):
    """Image file -> bitstream that was decoded again."""

    def run(self, source: Path) -> Coded:
        from rdc.codec import BitstreamError

        x = read_image(source)
        codec = _codec(self.settings)
        encoded = codec.encode(x)
        if (codec.decode(encoded.data).y_hat != encoded.y_hat).any():
            raise BitstreamError(
                "a stream decodes to the latents that were encoded",
                f"others for {source}",
                "report this defect; nothing was written",
            )
        return Coded(encoded.data, len(encoded.data), *x.shape[:2])


class Decompression(Operation):
    """Bitstream -> PNG file."""

    suffix = ".png"

    def inputs(self, folder: Path) -> list[Path]:
        found = [
            path
            for path in sorted(folder.rglob(f"*{STREAM_SUFFIX}"))
            if path.is_file() and not _is_hidden(path.relative_to(folder))
        ]
        if not found:
            raise DataError(
                f"a folder to decompress holds {STREAM_SUFFIX} files",
                f"none in {folder}",
                "name a folder that `rdc compress` wrote",
            )
        return found

    def run(self, source: Path) -> Coded:
        data = read_bytes(source)
        x_hat = _codec(self.settings).decompress(data)
        return Coded(png_bytes(x_hat), len(data), *x_hat.shape[:2])


def settings(values: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """`Operation.settings`; None leaves the choice to `Codec.load`."""
    return tuple((k, v) for k, v in values.items() if v is not None)


def read_bytes(path: Path) -> bytes:
    """Content of an input file; raises `DataError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            "the input file can be read", f"{path} ({error.strerror})", "check the path"
        ) from None


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


@cache
def _codec(settings: tuple[tuple[str, Any], ...]) -> Codec:
    # The networks are compiled anew for every image size: seconds, unless kept.
    os.environ |= compilation_cache()
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    from rdc.codec import Codec

    return Codec.load(**dict(settings))
