"""The codec that fits its decoder to each image (`rdc.overfitted`)."""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Callable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from rdc.codec.base import Codec, Decoded, Encoded, check_image_array
from rdc.codec.container import Header, check_writer, nearest_rate, pack, unpack
from rdc.errors import BitstreamError, ConfigError, DataError
from rdc.overfitted.identity import codec_id
from rdc.overfitted.schedule import EFFORT_STEPS, Schedule, schedule_of
from rdc.overfitted.spec import OverfittedSpec, preset
from rdc.specs.coding import OperatingPoint

if TYPE_CHECKING:
    from rdc.complexity import Complexity
    from rdc.overfitted.bitstream import Payload
    from rdc.overfitted.integers import IntegerDecoder
    from rdc.overfitted.saved_search import SavedSearch

CODER = "rans64"
# Decoding takes about 200 bytes for a pixel, the search about 500.
DEFAULT_MAX_PIXELS = 1 << 23
Progress = Callable[[int, float], None]


class OverfittedCodec(Codec):
    """Every image brings its own decoder: minutes to write, tenths of a second to read.

    Args:
      spec: sizes of the decoder.
      max_pixels: of the largest image; None for 2^23.
      schedule: of the search, instead of the effort's.
      progress: called with steps done and the RD loss so far, networks not counted.
      saved: where the state of the search of one image is kept.
    """

    continuous = True
    max_effort = len(EFFORT_STEPS) - 1

    def __init__(
        self,
        spec: OverfittedSpec,
        max_pixels: int | None = None,
        schedule: Schedule | None = None,
        progress: Progress | None = None,
        saved: SavedSearch | None = None,
    ):
        if max_pixels is not None and max_pixels < 1:
            raise ConfigError("codec.max_pixels is positive", max_pixels)
        if importlib.util.find_spec("numba") is None:
            raise ConfigError(
                "overfitted codecs run compiled loops",
                "no numba",
                "install the extra: pip install 'rdc-frontier[overfitted]'",
            )
        self.spec = spec
        self._max_pixels = max_pixels or DEFAULT_MAX_PIXELS
        self._schedule = schedule
        self._progress, self._saved = progress, saved
        self.codec_id = codec_id(spec)
        self.operating_points = tuple(
            OperatingPoint(rate=i, lmbda=lmbda) for i, lmbda in enumerate(spec.lmbdas)
        )

    @classmethod
    def named(cls, name: str, **settings: Any) -> OverfittedCodec:
        """The codec `overfitted_...`; raises `ConfigError`."""
        known = {"max_pixels", "schedule", "progress", "saved"}
        unknown = sorted(set(settings) - known)
        if unknown:
            raise ConfigError(
                "overfitted codecs have one coder and one kind of numerics",
                ", ".join(unknown),
                "leave it out",
            )
        return cls(preset(name), **settings)

    def with_search(self, saved: SavedSearch) -> OverfittedCodec:
        """This codec for one image, whose search is kept in `saved`."""
        codec = copy(self)
        codec._saved = saved
        return codec

    def cost(self, height_px: int = 512, width_px: int = 768) -> Complexity:
        from rdc.overfitted.complexity import count

        return count(self.spec, height_px, width_px, self._schedule)

    def encoded(self, x: np.ndarray, rate: float = 0, effort: int = 0) -> Encoded:
        """See `Codec.encoded`; the same image, rate and effort give the same search,
        but for the floating point of the device: streams of two may differ.
        """
        from rdc.overfitted.bitstream import Payload
        from rdc.overfitted.integers import IntegerDecoder
        from rdc.overfitted.optimisation import Problem, rounded
        from rdc.overfitted.quantisation import quantised

        check_image_array(x)
        self.check_point(rate, effort)
        rate = nearest_rate(rate)
        if x.shape[0] * x.shape[1] > self._max_pixels:
            raise DataError(
                *self._too_large(*x.shape[:2]),
                "allow more with the setting max_pixels, or cut the image",
            )
        lmbda = self.lmbda_of(rate)
        assert lmbda is not None
        problem = Problem(self.spec, x)
        schedule = self._schedule or schedule_of(effort)
        fit = problem.optimised(
            lmbda, schedule, progress=self._progress, saved=self._saved
        )
        latents = rounded(fit.latents)
        networks = quantised(problem, fit.networks, latents, lmbda)
        decoder = IntegerDecoder(self.spec, networks)
        whole = [np.asarray(grid, np.float64) for grid in latents]
        words = decoder.encoded_latents(whole)
        checksum = zlib.crc32(decoder.pixels(whole).tobytes())
        header = Header.of(self.codec_id, x.shape, CODER, "exact", rate)
        data = pack(header, Payload(checksum, networks, words).pack(self.spec))
        bits = problem.bits(networks.parameters(self.spec), latents)
        return Encoded(data, bits + 8 * (len(data) - 4 * words.size))

    def decoded(self, data: bytes) -> Decoded:
        header, payload, decoder = self._opened(data)
        latents = self._latents(header, payload, decoder)
        x_hat = decoder.pixels(latents)
        if zlib.crc32(x_hat.tobytes()) != payload.pixels_crc32:
            raise BitstreamError(
                "the pixels have the checksum that the encoder wrote",
                "another one",
                "the stream was altered, or this is a defect: report it",
            )
        return Decoded(x_hat)

    def decoding_stages(self, streams: Sequence[bytes]) -> dict[str, Callable[[], Any]]:
        """`entropy_coding` is the entropy network with its coder, symbol by symbol;
        `network` is upsampling and synthesis of given latents.
        """
        opened = [self._opened(data) for data in streams]
        latents = [self._latents(*each) for each in opened]

        def network() -> list[np.ndarray]:
            decoders = (decoder for *_, decoder in opened)
            return [d.pixels(y) for d, y in zip(decoders, latents, strict=True)]

        def entropy_coding() -> None:
            for each in opened:
                self._latents(*each)

        return {
            "network": network,
            "entropy_coding": entropy_coding,
            **super().decoding_stages(streams),
        }

    def _opened(self, data: bytes) -> tuple[Header, Payload, IntegerDecoder]:
        from rdc.overfitted.bitstream import Payload
        from rdc.overfitted.integers import IntegerDecoder

        header, payload = unpack(data)
        check_writer(header, self.codec_id)
        if (header.coder, header.numerics) != (CODER, "exact"):
            raise BitstreamError(
                f"overfitted streams are of the coder {CODER} and exact",
                f"{header.coder} and {header.numerics}",
            )
        if header.height_px * header.width_px > self._max_pixels:
            raise BitstreamError(
                *self._too_large(header.height_px, header.width_px),
                "allow more with the setting max_pixels, if you trust the file",
            )
        sections = Payload.unpack(payload, self.spec)
        return header, sections, IntegerDecoder(self.spec, sections.networks)

    def _latents(
        self, header: Header, payload: Payload, decoder: IntegerDecoder
    ) -> list[np.ndarray]:
        shapes = self.spec.grid_shapes(header.height_px, header.width_px)
        return decoder.decoded_latents(payload.words, shapes)

    def _too_large(self, height_px: int, width_px: int) -> tuple[str, str]:
        return (
            f"images have at most {self._max_pixels} pixels",
            f"{width_px} x {height_px}",
        )
