"""The protocol of every codec: learned, classical, and those to come."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rdc.errors import ConfigError, DataError
from rdc.overfitted.spec import PREFIX
from rdc.specs.coding import OperatingPoint

if TYPE_CHECKING:
    from rdc.complexity import Complexity

# (`encode` or `decode`, part) -> what to time.
Components = dict[tuple[str, str], Callable[[], Any]]


@dataclass(frozen=True)
class Encoded:
    """Bytes of one image, and what the encoder knows of it.

    Attributes:
      bits_estimated: from likelihoods, without any table; None where there are none.
      y_hat: f32[h,w,C], what the decoder must find; None without latents.
    """

    data: bytes
    bits_estimated: float | None = None
    y_hat: np.ndarray | None = None


@dataclass(frozen=True)
class Decoded:
    """x_hat u8[H,W,3] of one bitstream; y_hat f32[h,w,C] where there are latents."""

    x_hat: np.ndarray
    y_hat: np.ndarray | None = None


class Codec(abc.ABC):
    """Images to bytes and back: the one path of evaluation and of the command line.

    Attributes:
      codec_id: 16 hex digits: of the model (weights included), or of a classical codec.
      operating_points: the rates it offers, lowest rate first.
      continuous: whether it codes between them, too, in steps of 1/16.
      max_effort: how long its encoder searches at most.
    """

    codec_id: str
    operating_points: tuple[OperatingPoint, ...]
    continuous = False
    max_effort = 0

    @staticmethod
    def load(model: str | Path | None = None, **settings: Any) -> Codec:
        """A codec by name or folder.

        Args:
          model: None for the default learned model; the name of one that comes with the
            package, of a classical codec (`jpeg`, `webp`, `avif`, `jpeg2000`) or of one
            fitted to each image (`overfitted_1200`); or an exported folder.
          settings: of `rdc.codec.learned.LearnedCodec`: coder, numerics, max_pixels.

        Raises:
          ConfigError: no such codec.
          StorageError: a file of the model is damaged.
        """
        from rdc.specs.classical import SETTINGS

        if isinstance(model, str) and model in SETTINGS:
            from rdc.codec.classical import ClassicalCodec
            from rdc.specs.classical import ClassicalSpec

            if settings:
                raise ConfigError(
                    f"the codec {model} has no settings of learned codecs",
                    ", ".join(settings),
                    "leave them out",
                )
            return ClassicalCodec(ClassicalSpec(name=model))
        if isinstance(model, str) and model.startswith(PREFIX):
            from rdc.codec.overfitted import OverfittedCodec

            return OverfittedCodec.named(model, **settings)
        from rdc.codec.learned import LearnedCodec

        return LearnedCodec.load(model, **settings)

    @abc.abstractmethod
    def encoded(self, x: np.ndarray, rate: float = 0, effort: int = 0) -> Encoded:
        """Compresses an image, u8[H,W,3] with H, W >= 1, at an operating point.

        A `continuous` codec also takes rates between two of them, as 2.5, and codes
        the nearest that a file can name.

        Raises:
          ConfigError: no such rate or effort.
          DataError: another shape or type, or an image that is too large.
        """

    @abc.abstractmethod
    def decoded(self, data: bytes) -> Decoded:
        """Reads a bitstream.

        Raises:
          BitstreamError: damaged or foreign.
        """

    @abc.abstractmethod
    def cost(self, height_px: int = 512, width_px: int = 768) -> Complexity | None:
        """Exact cost per pixel; None where nobody counted it."""

    def encode(self, x: np.ndarray, rate: float = 0, effort: int = 0) -> bytes:
        """u8[H,W,3] -> bytes of a file; raises as `encoded`."""
        return self.encoded(x, rate, effort).data

    def decode(self, data: bytes) -> np.ndarray:
        """Bytes of a file -> u8[H,W,3]; raises as `decoded`."""
        return self.decoded(data).x_hat

    def decode_batch(self, streams: Sequence[bytes]) -> list[np.ndarray]:
        """Several files -> u8[H,W,3] each; raises as `decoded`.

        Codecs that gain by it decode them together.
        """
        return [self.decode(data) for data in streams]

    def decoding_stages(self, streams: Sequence[bytes]) -> dict[str, Callable[[], Any]]:
        """Stage of `rdc.measurements.rows.STAGES` -> function to time, of files that
        are decoded together; raises as `decoded`.

        `end_to_end` gives x_hat, u8[H,W,3], of each.
        """
        return {"end_to_end": lambda: self.decode_batch(streams)}

    def components(self, x: np.ndarray, rate: float = 0) -> Components:
        """Parts of encoder and decoder, each to be timed by itself on an image.

        Every codec has the part `end_to_end` of `encode`.
        """
        return {("encode", "end_to_end"): lambda: self.encode(x, rate)}

    def compress(
        self, x: np.ndarray, quality: float | None = None, effort: int = 0
    ) -> bytes:
        """u8[H,W,3] -> bytes of a file.

        Args:
          quality: 1 for the smallest files, up to the number of operating points; None
            for the one in the middle. Of a `continuous` codec also between two of them.
        """
        return self.encode(x, self.rate_of(quality), effort)

    def decompress(self, data: bytes) -> np.ndarray:
        """Bytes of a file -> u8[H,W,3]; raises as `decoded`."""
        return self.decode(data)

    def rate_of(self, quality: float | None) -> float:
        """The rate of a quality.

        Raises:
          ConfigError: a quality that this codec does not have.
        """
        count = len(self.operating_points)
        if quality is None:
            return (count - 1) // 2
        if not 1 <= quality <= count:
            raise ConfigError(
                f"quality is 1 to {count} with this model"
                if count > 1
                else "this model has one rate: quality is 1 or left out",
                quality,
            )
        if not self.continuous and quality % 1:
            raise ConfigError("this codec has whole qualities alone", quality)
        return quality - 1

    def lmbda_of(self, rate: float) -> float | None:
        """Weight of the distortion at a rate, a geometric mean between two operating
        points; None of codecs that were not trained with one.
        """
        lower = min(int(rate), max(len(self.operating_points) - 2, 0))
        points = self.operating_points[lower : lower + 2]
        lmbdas = [point.lmbda for point in points if point.lmbda is not None]
        if len(lmbdas) < len(points):
            return None
        return lmbdas[0] * (lmbdas[-1] / lmbdas[0]) ** (rate - lower)

    def check_point(self, rate: float, effort: int = 0) -> None:
        """Raises `ConfigError` unless there is such a rate and such an effort."""
        count = len(self.operating_points)
        if not 0 <= rate <= count - 1:
            raise ConfigError(f"this codec has the rates 0 to {count - 1}", rate)
        if not self.continuous and rate % 1:
            raise ConfigError("this codec has no rates between whole ones", rate)
        if not 0 <= effort <= self.max_effort:
            raise ConfigError(
                f"effort is 0 to {self.max_effort} with this codec"
                if self.max_effort
                else "effort is 0 with this codec, which has no search",
                effort,
            )


def check_image_array(x: np.ndarray) -> None:
    """Raises `DataError` unless `x` is u8[H,W,3] with H, W >= 1."""
    if x.dtype != np.uint8 or x.ndim != 3 or x.shape[2] != 3 or not x.size:
        raise DataError(
            "images are uint8 arrays [H, W, 3]", f"{x.dtype}{list(x.shape)}"
        )
