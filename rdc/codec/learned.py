"""The codec of a trained model: reads and writes `.rdc` bitstreams."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import jax.numpy as jnp
import numpy as np

from rdc.codec.base import Codec, Components, Decoded, Encoded, check_image_array
from rdc.codec.coding import Coding
from rdc.codec.container import Header, nearest_rate, pack
from rdc.codec.decoding import StreamDecoder
from rdc.codec.entropy_reach import entropy_reach_px
from rdc.codec.exported import ExportedModel, in_memory, load_exported
from rdc.codec.limits import PixelLimit
from rdc.codec.model_folders import model_folder
from rdc.codec.numerics import numerics_by_name
from rdc.codec.refinement import Refinement
from rdc.complexity import Complexity, count
from rdc.entropy_coders.coders import coder_by_name
from rdc.entropy_coders.estimates import estimated_bits
from rdc.errors import BitstreamError, ConfigError
from rdc.model import CompressionModel
from rdc.ops.distortions import DISTORTIONS, Distortion
from rdc.specs.coding import MAX_EFFORT, OperatingPoint

Shapes = dict[str, tuple[int, int, int]]  # [h, w, channels] of y, and of z


class LearnedCodec(Codec):
    """A trained model that reads and writes `.rdc` bitstreams (docs/format.md).

    Args:
      exported: the model.
      coder: name of the entropy coder that writes. Streams of one that runs in a
        process of its own (`tfc`) are read only where it is named here, too.
      numerics: how entropy parameters are computed for writing: `exact` makes streams
        that every device decodes, `native` is faster and makes streams that a device
        of other floating point refuses. Both are read.
      max_pixels: of the largest image, padding included, that is coded at all; None
        for what fits into 2 GiB (`rdc.codec.limits`).

    Effort is a search for better latents (`rdc.codec.refinement`); of a model with
    several encoders, how many more than one run, the best of which is taken.
    """

    max_effort = MAX_EFFORT

    def __init__(
        self,
        exported: ExportedModel,
        coder: str = "range",
        numerics: str = "exact",
        max_pixels: int | None = None,
    ):
        self._exported = exported
        self._coder = coder_by_name(coder)
        self._numerics = numerics_by_name(numerics).name
        self._coding = Coding(exported)
        self._limit = PixelLimit(
            exported.model.spec,
            exported.decoder_peak_bytes_per_px,
            max_pixels,
            self._coding.transforms.are_tiled
            and math.isfinite(entropy_reach_px(exported.model)),
            len(exported.model.steps),
        )
        if exported.model.spec.encoders > 1:
            self.max_effort = exported.model.spec.encoders - 1
        self.codec_id = exported.identity
        self.operating_points = exported.operating_points
        self.continuous = len(self.operating_points) > 1
        self._decoder = StreamDecoder(
            self._coding,
            self.codec_id,
            self._coder,
            self._limit,
            len(self.operating_points),
        )

    @classmethod
    def load(  # type: ignore[override]
        cls,
        model: str | Path | None = None,
        coder: str = "range",
        numerics: str = "exact",
        max_pixels: int | None = None,
    ) -> Self:
        """Loads a model that comes with the package, by name, or an exported folder.

        Args:
          model: None for the default, `best`.

        Raises:
          ConfigError: not a model folder, or one of another version.
          StorageError: a file of the model is damaged.
        """
        exported = load_exported(model_folder(model))
        return cls(exported, coder, numerics, max_pixels)

    @classmethod
    def of(
        cls,
        model: CompressionModel,
        operating_points: Sequence[OperatingPoint] = (),
        **settings: Any,
    ) -> Self:
        """A codec of weights in memory; `settings` as in `load`.

        Its streams are its own: the model's export has another identity.

        Args:
          operating_points: (): as many as the model has rates, of unknown lambda.
        """
        return cls(in_memory(model, operating_points), **settings)

    @property
    def model(self) -> CompressionModel:
        return self._exported.model

    @property
    def provenance(self) -> dict[str, Any]:
        """How the model was trained, as its folder says."""
        return self._exported.provenance

    def cost(self, height_px: int = 512, width_px: int = 768) -> Complexity:
        return count(self.model.spec, height_px, width_px)

    def encode(self, x: np.ndarray, rate: float = 0, effort: int = 0) -> bytes:
        return self._encoded(x, rate, effort, estimates=False).data

    def encoded(self, x: np.ndarray, rate: float = 0, effort: int = 0) -> Encoded:
        return self._encoded(x, rate, effort, estimates=True)

    def _encoded(
        self, x: np.ndarray, rate: float, effort: int, *, estimates: bool
    ) -> Encoded:
        check_image_array(x)
        self.check_point(rate, effort)
        rate = nearest_rate(rate)
        self._limit.check_image(*x.shape[:2])
        latents = self._latents(x, rate, 1)
        candidates = [self._coded(x, latents, rate, estimates)]
        if effort == 0 or min(x.shape[:2]) < self._distortion.least_px:
            return candidates[0]
        lmbda = self._known_lmbda(rate)
        if self.model.spec.encoders > 1:
            for encoders in range(2, effort + 2):
                latents = self._latents(x, rate, encoders)
                candidates.append(self._coded(x, latents, rate, estimates))
        else:
            found = self._refinement.refined(x, latents, rate, lmbda, effort)
            candidates.append(self._coded(x, found, rate, estimates))
        return min(candidates, key=lambda e: self._loss(x, e, rate, lmbda))

    def _latents(
        self, x: np.ndarray, rate: float, encoders: int
    ) -> dict[str, np.ndarray]:
        """y, and z, of so many encoders."""
        transforms = self._coding.transforms
        latents = {"y": transforms.analyse(self._coding.padded(x), rate, encoders)}
        if self.model.hyper_analysis is not None:
            latents["z"] = transforms.hyperlatents(latents["y"])
        return latents

    def _coded(
        self,
        x: np.ndarray,
        latents: Mapping[str, np.ndarray],
        rate: float,
        estimates: bool,
    ) -> Encoded:
        height, width = x.shape[:2]
        shapes = self._coding.shapes((height, width))
        encoder = self._coder.encoder()
        parity: list[bytes] = []
        bits: list[float] = []

        def code(step: Any, parameters: Any) -> np.ndarray:
            portion = self._coding.portion(step, parameters, shapes, rate)
            symbols = portion.symbols(step.select(latents[step.latent]))
            coded = symbols.ravel(), portion.table_index.ravel(), portion.tables
            encoder.put(*coded)
            parity.append(portion.parity)
            if estimates:
                likelihoods = step.likelihood_bits(symbols, parameters)
                bits.append(estimated_bits(likelihoods, *coded))
            return portion.values(symbols)

        padded_px = self._coding.padded_px((height, width))
        y_hat = self._coding.networks(self._numerics).run(code, padded_px, rate)
        header = Header.of(
            self.codec_id, x.shape, self._coder.name, self._numerics, rate
        )
        data = pack(header, b"".join(parity) + encoder.finish())
        return Encoded(data, sum(bits) if estimates else None, y_hat[0])

    def _loss(
        self, x: np.ndarray, encoded: Encoded, rate: float, lmbda: float
    ) -> float:
        """bpp + lmbda * distortion, of real bytes and of the pixels that they make."""
        height, width = x.shape[:2]
        assert encoded.y_hat is not None
        x_hat = self._coding.transforms.synthesise(encoded.y_hat[None], rate)[0]
        x_hat = x_hat[:height, :width]
        pair = np.stack([x, x_hat]).astype(np.float32) / 255
        error = self._distortion.function(*jnp.asarray(pair[:, None]))
        return 8 * len(encoded.data) / (height * width) + lmbda * float(error[0])

    def _known_lmbda(self, rate: float) -> float:
        lmbda = self.lmbda_of(rate)
        if lmbda is None:
            raise ConfigError(
                "a search weighs bits against distortion by the lambda of the rate",
                "a model without any",
                "use effort 0, or give its operating points",
            )
        return lmbda

    @cached_property
    def _refinement(self) -> Refinement:
        return Refinement(self.model, self.operating_points[0].distortion)

    @property
    def _distortion(self) -> Distortion:
        return DISTORTIONS[self.operating_points[0].distortion]

    def decoded(self, data: bytes) -> Decoded:
        opened = self._decoder.opened(data)
        y_hat = self._decoder.latents([opened], [opened.decoder])
        return Decoded(self._decoder.pixels(opened, y_hat)[0], np.asarray(y_hat)[0])

    def decode(self, data: bytes) -> np.ndarray:
        return self.decode_batch([data])[0]

    def decode_batch(self, streams: Sequence[bytes]) -> list[np.ndarray]:
        """As of every codec; networks see the images together.

        The streams are of equal size, rate and numerics. Of `native` ones, a program
        for several images may round otherwise than the encoder did; then each is
        decoded by itself.

        Raises:
          ConfigError: streams that are not alike, or none.
          BitstreamError: one that is damaged or foreign, or images too large together.
        """
        opened = self._decoder.alike(streams)
        try:
            y_hat = self._decoder.latents(opened, [each.decoder for each in opened])
        except BitstreamError:
            if len(streams) == 1:
                raise
            return super().decode_batch(streams)
        return list(self._decoder.pixels(opened[0], y_hat))

    def decode_on_device(self, data: bytes) -> np.ndarray:
        """As `decode`, in one program of the device (`rdc.codec.one_program`).

        For streams of the coder `rans` and numerics `native`. Where the program, which
        is of the image's own size, rounds otherwise than the encoder did, `decode`
        decodes them: mostly, of sizes that are no canvas (`rdc.codec.tiles`).

        Raises:
          BitstreamError: a damaged or foreign stream, or one of another kind.
        """
        pixels = self._decoder.in_one_program(data)
        return self.decode(data) if pixels is None else pixels

    def decoding_stages(self, streams: Sequence[bytes]) -> dict[str, Callable[[], Any]]:
        """Parts of the decoder to be timed, of the programs that `decode` runs.

        `network` has the symbols of the streams given and makes x_hat of them;
        `entropy_coding` has the table indices given and makes the symbols;
        `end_to_end` is `decode_batch`.
        """
        return self._decoder.stages(streams) | super().decoding_stages(streams)

    def components(self, x: np.ndarray, rate: float = 0) -> Components:
        """Networks of encoder and decoder, each by itself, and the whole encoder."""
        parts = super().components(x, rate)
        padded, transforms = self._coding.padded(x), self._coding.transforms
        y = transforms.analyse(padded, rate)
        parts["encode", "analysis_transform"] = lambda: transforms.analyse(padded, rate)
        if self.model.hyper_analysis is not None:
            parts["encode", "hyper_analysis"] = lambda: transforms.hyperlatents(y)
        opened = self._decoder.opened(self.encode(x, rate))
        decoder = opened.decoder
        code = self._decoder.for_images(
            [opened],
            lambda _, portion: portion.values(
                decoder.get(portion.table_index.ravel(), portion.tables)
            ),
        )
        networks = self._coding.networks(opened.header.numerics)
        image_px = self._coding.padded_px(opened.size_px)
        runs, y_hat = networks.components(code, image_px, opened.header.rate)
        parts |= {("decode", name): run for name, run in runs.items()}
        parts["decode", "synthesis_transform"] = lambda: transforms.synthesise(
            y_hat, opened.header.rate
        )[0]
        return parts
