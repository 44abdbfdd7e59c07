"""The codec of a trained model: reads and writes `.rdc` bitstreams."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import jax.numpy as jnp
import numpy as np

from rdc.codec.base import Codec, Components, Decoded, Encoded, check_image_array
from rdc.codec.container import Header, check_writer, nearest_rate, pack, unpack
from rdc.codec.exported import ExportedModel, in_memory, load_exported
from rdc.codec.limits import PixelLimit
from rdc.codec.model_folders import model_folder
from rdc.codec.networks import (
    CompiledNetworks,
    TransformNetworks,
    entropy_reach_px,
)
from rdc.codec.numerics import NUMERICS, numerics_by_name
from rdc.codec.one_program import OneProgram
from rdc.codec.refinement import Refinement
from rdc.codec.symbols import PARITY_BYTES, Portion, RecordingDecoder
from rdc.complexity import Complexity, count
from rdc.entropy_coders.coders import CODERS, Decoder, coder_by_name
from rdc.entropy_coders.estimates import estimated_bits
from rdc.entropy_coders.rans_coder import RansStream
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
        self._transforms = TransformNetworks(exported.model)
        self._limit = PixelLimit(
            exported.model.spec,
            exported.decoder_peak_bytes_per_px,
            max_pixels,
            self._transforms.are_tiled and entropy_reach_px(exported.model) is not None,
            len(exported.model.steps),
        )
        self._networks: dict[str, CompiledNetworks] = {}
        self._num_checksums = len(exported.model.steps)
        self.codec_id = exported.identity
        self.operating_points = exported.operating_points
        self.continuous = len(self.operating_points) > 1

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

    def encoded(self, x: np.ndarray, rate: float = 0, effort: int = 0) -> Encoded:
        check_image_array(x)
        self.check_point(rate, effort)
        rate = nearest_rate(rate)
        self._limit.check_image(*x.shape[:2])
        latents = {"y": self._transforms.analyse(self._padded(x))}
        if self.model.hyper_analysis is not None:
            latents["z"] = self._transforms.hyperlatents(latents["y"])
        plain = self._coded(x, latents, rate)
        if effort == 0:
            return plain
        lmbda = self._known_lmbda(rate)
        if min(x.shape[:2]) < self._distortion.least_px:
            return plain
        found = self._refinement.refined(x, latents, rate, lmbda, effort)
        refined = self._coded(x, found, rate)
        return min(plain, refined, key=lambda e: self._loss(x, e, lmbda))

    def _coded(
        self, x: np.ndarray, latents: Mapping[str, np.ndarray], rate: float
    ) -> Encoded:
        shapes = {name: values.shape[1:] for name, values in latents.items()}
        encoder = self._coder.encoder()
        parity: list[bytes] = []
        bits: list[float] = []

        def code(step: Any, parameters: Any) -> np.ndarray:
            portion = self._portion(step, parameters, shapes, rate)
            symbols = portion.symbols(step.select(latents[step.latent]))
            coded = symbols.ravel(), portion.table_index.ravel(), portion.tables
            encoder.put(*coded)
            parity.append(portion.parity)
            likelihoods = step.likelihood_bits(symbols, parameters)
            bits.append(estimated_bits(likelihoods, *coded))
            return portion.values(symbols)

        padded_px = self.model.spec.padded_px(*x.shape[:2])
        y_hat = self._compiled(self._numerics).run(code, padded_px, rate)
        header = Header.of(
            self.codec_id, x.shape, self._coder.name, self._numerics, rate
        )
        data = pack(header, b"".join(parity) + encoder.finish())
        return Encoded(data, sum(bits), y_hat)

    def _loss(self, x: np.ndarray, encoded: Encoded, lmbda: float) -> float:
        """bpp + lmbda * distortion, of real bytes and of the pixels that they make."""
        height, width = x.shape[:2]
        assert encoded.y_hat is not None
        x_hat = self._transforms.synthesise(encoded.y_hat)[:height, :width]
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
        header, parity, stream = self._opened(data)
        decoder = CODERS[header.coder].decoder(stream)
        y_hat = self._decoded_latents(header, parity, decoder)
        return Decoded(self._synthesised(header, y_hat), y_hat)

    def decode_on_device(self, data: bytes) -> np.ndarray:
        """As `decode`, in one program of the device (`rdc.codec.one_program`).

        For streams of the coder `rans` and numerics `native`. Where the program, which
        is of the image's own size, rounds otherwise than the encoder did, `decode`
        decodes them: mostly, of sizes that are no canvas (`rdc.codec.tiles`).

        Raises:
          BitstreamError: a damaged or foreign stream, or one of another kind.
        """
        header, parity, stream = self._opened(data)
        if (header.coder, header.numerics) != ("rans", "native"):
            raise BitstreamError(
                "one program decodes streams of the coder rans, native",
                f"{header.coder}, {header.numerics}",
                "compress with these settings, or decode it the usual way",
            )
        shapes = self._shapes(header)
        networks = self._compiled("native").for_size(self._padded_px(header))
        steps = networks.coding_steps(header.rate)
        pixels = self._one_program.decode(
            RansStream.parsed(stream),
            parity,
            shapes[steps[0].latent],
            self._exported.prior(header.rate),
            [step.gains for step in steps],
        )
        if pixels is None:
            return self.decode(data)
        return pixels[: header.height_px, : header.width_px]

    @cached_property
    def _one_program(self) -> OneProgram:
        return OneProgram(self.model, self._exported.gaussian)

    def decoding_stages(self, data: bytes) -> dict[str, Callable[[], Any]]:
        """Parts of the decoder to be timed, of the programs that `decode` runs.

        `network` has the symbols of `data` given and makes x_hat of them;
        `entropy_coding` has the table indices given and makes the symbols;
        `end_to_end` is `decode`.
        """
        header, parity, stream = self._opened(data)
        coder = CODERS[header.coder]
        recorder = RecordingDecoder(coder.decoder(stream))
        self._decoded_latents(header, parity, recorder)
        networks = self._compiled(header.numerics)
        shapes = self._shapes(header)

        def network() -> np.ndarray:
            symbols = iter(recorder.symbols)

            def code(step: Any, parameters: Any) -> np.ndarray:
                portion = self._portion(step, parameters, shapes, header.rate)
                return portion.values(next(symbols))

            y_hat = networks.run(code, self._padded_px(header), header.rate)
            return self._synthesised(header, y_hat)

        def entropy_coding() -> None:
            decoder = coder.decoder(stream)
            for table_index, tables in recorder.calls:
                decoder.get(table_index, tables)
            decoder.finish()

        return {
            "network": network,
            "entropy_coding": entropy_coding,
            **super().decoding_stages(data),
        }

    def components(self, x: np.ndarray, rate: float = 0) -> Components:
        """Networks of encoder and decoder, each by itself, and the whole encoder."""
        parts = super().components(x, rate)
        padded, transforms = self._padded(x), self._transforms
        y = transforms.analyse(padded)
        parts["encode", "analysis_transform"] = lambda: transforms.analyse(padded)
        if self.model.hyper_analysis is not None:
            parts["encode", "hyper_analysis"] = lambda: transforms.hyperlatents(y)
        header, _, stream = self._opened(self.encode(x, rate))
        decoder, shapes = CODERS[header.coder].decoder(stream), self._shapes(header)
        networks = self._compiled(header.numerics)

        def code(step: Any, parameters: Any) -> np.ndarray:
            portion = self._portion(step, parameters, shapes, header.rate)
            return portion.values(
                decoder.get(portion.table_index.ravel(), portion.tables)
            )

        runs, y_hat = networks.components(code, self._padded_px(header), header.rate)
        parts |= {("decode", name): run for name, run in runs.items()}
        parts["decode", "synthesis_transform"] = lambda: transforms.synthesise(y_hat)
        return parts

    def _opened(self, data: bytes) -> tuple[Header, bytes, bytes]:
        """(header, checksums of the steps, entropy-coded stream) of a bitstream.

        Raises:
          BitstreamError: whatever can be known before a network runs.
        """
        header, payload = unpack(data)
        check_writer(header, self.codec_id)
        if header.rate > len(self.operating_points) - 1:
            raise BitstreamError(
                f"the model's rates go from 0 to {len(self.operating_points) - 1}",
                f"{header.rate:g}",
                "this is no stream of the model: fetch the file again",
            )
        if header.coder not in CODERS:
            raise BitstreamError(
                f"learned models have the coders {', '.join(CODERS)}", header.coder
            )
        coder = CODERS[header.coder]
        if coder.is_external and coder is not self._coder:
            raise BitstreamError(
                "streams are decoded in this process unless another is asked for",
                f"one of the coder {coder.name}, which starts a program of its own",
                f"if you trust the file, decode it with the setting coder {coder.name}",
            )
        self._limit.check_stream(header.height_px, header.width_px)
        checksums = PARITY_BYTES * self._num_checksums
        parity, stream = payload[:checksums], payload[checksums:]
        shapes = self._shapes(header)
        height, width, _ = shapes.get("z", shapes["y"])  # of what the prior codes
        least = coder.least_bits(height * width, self._exported.prior(header.rate))
        if len(parity) < checksums or 8 * len(stream) < least:
            raise BitstreamError(
                f"a payload for {header.width_px} x {header.height_px} pixels has at "
                f"least {checksums + int(least / 8)} bytes",
                len(payload),
                "its header lies, or it was cut: fetch the file again",
            )
        return header, parity, stream

    def _decoded_latents(
        self, header: Header, parity: bytes, decoder: Decoder
    ) -> np.ndarray:
        shapes = self._shapes(header)
        checksums = parity

        def code(step: Any, parameters: Any) -> np.ndarray:
            nonlocal checksums
            portion = self._portion(step, parameters, shapes, header.rate)
            parity_here = portion.parity
            if not checksums.startswith(parity_here):
                done = (len(parity) - len(checksums)) // PARITY_BYTES
                raise BitstreamError(
                    "this device computes the entropy parameters of the encoder",
                    f"others in coding step {done}",
                    "decode where it was encoded: same device kind, JAX version and "
                    "threads; streams coded with numerics `exact` need none of this",
                )
            checksums = checksums[len(parity_here) :]
            return portion.values(
                decoder.get(portion.table_index.ravel(), portion.tables)
            )

        networks = self._compiled(header.numerics)
        y_hat = networks.run(code, self._padded_px(header), header.rate)
        decoder.finish()
        return y_hat

    def _synthesised(self, header: Header, y_hat: np.ndarray) -> np.ndarray:
        x_hat = self._transforms.synthesise(y_hat)
        return x_hat[: header.height_px, : header.width_px]

    def _compiled(self, numerics: str) -> CompiledNetworks:
        if numerics not in self._networks:
            networks = CompiledNetworks(self.model, NUMERICS[numerics])
            self._networks[numerics] = networks
        return self._networks[numerics]

    def _portion(
        self, step: Any, parameters: Any, shapes: Shapes, rate: float
    ) -> Portion:
        if step.tables == "prior":
            tables = self._exported.prior(rate)
            return Portion.of_prior(shapes[step.latent], tables, step.gains)
        return Portion.of_gaussian(
            parameters, self._exported.gaussian, step.gains, step.is_final
        )

    def _shapes(self, header: Header) -> Shapes:
        spec = self.model.spec
        y_shape, z_shape = spec.latent_shapes(header.height_px, header.width_px)
        return {"y": y_shape} if z_shape is None else {"y": y_shape, "z": z_shape}

    def _padded_px(self, header: Header) -> tuple[int, int]:
        return self.model.spec.padded_px(header.height_px, header.width_px)

    def _padded(self, x: np.ndarray) -> np.ndarray:
        padded = self.model.spec.padded_px(*x.shape[:2])
        pads = [(0, new - old) for new, old in zip(padded, x.shape, strict=False)]
        return np.pad(x, [*pads, (0, 0)], mode="edge") if np.any(pads) else x
