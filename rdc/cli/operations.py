"""What `rdc compress` and `rdc decompress` do to one file."""

from __future__ import annotations

import abc
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rdc.cli.info import read_bytes
from rdc.cli.searches import resumable
from rdc.data.image_sets import list_images
from rdc.data.images import png_bytes, read_image
from rdc.errors import ConfigError, DataError
from rdc.overfitted.spec import PREFIX
from rdc.specs.classical import SETTINGS
from rdc.system.host_memory import keep_freed_memory
from rdc.system.user_cache import compilation_cache

if TYPE_CHECKING:
    from rdc.codec import Codec

STREAM_SUFFIX = ".rdc"
Choices = tuple[tuple[str, Any], ...]  # (name, value)


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
      settings: arguments of `Codec.load`.
    """

    settings: Choices
    suffix: ClassVar[str]  # of the output

    @property
    def images_per_process(self) -> int:
        """How many are worth a process of their own."""
        # Starting a process and compiling takes as long as some photographs.
        return 4

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


@dataclass(frozen=True)
class Compression(Operation):
    """Image file -> bitstream.

    Attributes:
      point: arguments of `Codec.compress`: quality and effort.
    """

    point: Choices = ()
    suffix = STREAM_SUFFIX

    def inputs(self, folder: Path) -> list[Path]:
        return list_images(folder)

    @property
    def images_per_process(self) -> int:
        model = str(dict(self.settings).get("model", ""))
        searches = dict(self.point).get("effort", 0) > 0 or model.startswith(PREFIX)
        return 1 if searches else super().images_per_process

    def run(self, source: Path) -> Coded:
        x = read_image(source)
        codec = _codec(self.settings)
        rate, effort = self._point(codec)
        with resumable(codec, x, rate, effort) as resumed:
            data = resumed.encode(x, rate, effort)
        return Coded(data, len(data), *x.shape[:2])

    def _point(self, codec: Codec) -> tuple[float, int]:
        point = dict(self.point)
        return codec.rate_of(point.get("quality")), point.get("effort", 0)


class VerifiedCompression(Compression):
    """Image file -> bitstream that was decoded again."""

    def run(self, source: Path) -> Coded:
        from rdc.codec import BitstreamError

        x = read_image(source)
        codec = _codec(self.settings)
        rate, effort = self._point(codec)
        with resumable(codec, x, rate, effort) as resumed:
            encoded = resumed.encoded(x, rate, effort)
        if np.any(codec.decoded(encoded.data).y_hat != encoded.y_hat):
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
        x_hat = _codec(_of_stream(self.settings, data)).decompress(data)
        return Coded(png_bytes(x_hat), len(data), *x_hat.shape[:2])


def chosen(values: Mapping[str, Any], *names: str) -> Choices:
    """Those of `names` that have a value; the others are left to the library."""
    return tuple((k, values[k]) for k in names if values[k] is not None)


def _of_stream(settings: Choices, data: bytes) -> Choices:
    """With the codec that wrote the stream, where none was chosen."""
    from rdc.codec.container import unpack
    from rdc.codec.names import codec_of

    if "model" in dict(settings):
        return settings
    name = codec_of(unpack(data)[0])
    return settings if name is None else (*settings, ("model", name))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


@cache
def _codec(settings: Choices) -> Codec:
    values = dict(settings)
    if values.get("model") in SETTINGS:
        raise ConfigError(
            "files of classical codecs are ordinary images, not .rdc",
            f"--model {values['model']}",
            "write and read them with any image program; `rdc` takes learned models",
        )
    keep_freed_memory()
    # Networks are compiled for each canvas (rdc.codec.tiles): seconds, unless kept.
    os.environ |= compilation_cache()
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    from rdc.codec import Codec

    return Codec.load(**values)
