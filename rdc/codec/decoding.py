"""The decoder of a trained model: bitstreams to pixels, one or several at a time.

    bytes -> header, checksums, entropy-coded stream -> y_hat -> pixels

Streams of equal images are decoded together: networks see a batch, and each image has
its own entropy decoder and checksums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from rdc.codec.coding import Coding
from rdc.codec.container import Header, check_writer, unpack
from rdc.codec.limits import PixelLimit
from rdc.codec.one_program import OneProgram
from rdc.codec.symbols import PARITY_BYTES, Portion, RecordingDecoder
from rdc.codec.tiles import Size
from rdc.entropy_coders.coders import CODERS, Decoder, EntropyCoder
from rdc.entropy_coders.rans_coder import RansStream
from rdc.errors import BitstreamError, ConfigError

CodeImage = Callable[[int, Portion], np.ndarray]  # number of the image -> its values


class Opened(NamedTuple):
    """A bitstream whose header was checked.

    Attributes:
      parity: checksums of the steps.
      stream: what the entropy coder wrote.
    """

    header: Header
    parity: bytes
    stream: bytes

    @property
    def size_px(self) -> Size:
        return self.header.height_px, self.header.width_px

    @property
    def decoder(self) -> Decoder:
        """A new one of its coder, at the begin of the stream."""
        return CODERS[self.header.coder].decoder(self.stream)


class StreamDecoder:
    """Reads the streams of one model.

    Args:
      coder: the one that writes; of external ones, the only one that is read.
      num_rates: of the model.
    """

    def __init__(
        self,
        coding: Coding,
        codec_id: str,
        coder: EntropyCoder,
        limit: PixelLimit,
        num_rates: int,
    ):
        self._coding, self._codec_id, self._coder = coding, codec_id, coder
        self._limit, self._num_rates = limit, num_rates

    def opened(self, data: bytes) -> Opened:
        """Header and parts of a bitstream.

        Raises:
          BitstreamError: whatever can be known before a network runs.
        """
        header, payload = unpack(data)
        check_writer(header, self._codec_id)
        if header.rate > self._num_rates - 1:
            raise BitstreamError(
                f"the model's rates go from 0 to {self._num_rates - 1}",
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
        exported = self._coding.exported
        checksums = PARITY_BYTES * len(exported.model.steps)
        parity, stream = payload[:checksums], payload[checksums:]
        shapes = self._coding.shapes((header.height_px, header.width_px))
        height, width, _ = shapes.get("z", shapes["y"])  # of what the prior codes
        least = coder.least_bits(height * width, exported.prior(header.rate))
        if len(parity) < checksums or 8 * len(stream) < least:
            raise BitstreamError(
                f"a payload for {header.width_px} x {header.height_px} pixels has at "
                f"least {checksums + int(least / 8)} bytes",
                len(payload),
                "its header lies, or it was cut: fetch the file again",
            )
        return Opened(header, parity, stream)

    def alike(self, streams: Sequence[bytes]) -> list[Opened]:
        """Streams that networks can see together.

        Raises:
          BitstreamError: one that is damaged or foreign.
          ConfigError: none, or of different size, rate or numerics.
        """
        opened = [self.opened(data) for data in streams]
        kinds = {(o.size_px, o.header.rate, o.header.numerics) for o in opened}
        if len(kinds) != 1:
            raise ConfigError(
                "streams decoded together are of equal size, rate and numerics",
                f"{len(kinds)} kinds of {len(opened)} streams",
                "decode each kind by itself",
            )
        height, width = opened[0].size_px
        self._limit.check_stream(len(opened) * height, width)
        return opened

    def latents(self, opened: Sequence[Opened], decoders: Sequence[Decoder]) -> Any:
        """y_hat f32[n,h,w,C] of n streams that are `alike`; maybe on the device.

        Raises:
          BitstreamError: a damaged stream, or entropy parameters that are not those
            of its encoder.
        """
        left = [each.parity for each in opened]

        def code(image: int, portion: Portion) -> np.ndarray:
            parity = portion.parity
            if not left[image].startswith(parity):
                done = len(opened[image].parity) - len(left[image])
                raise BitstreamError(
                    "this device computes the entropy parameters of the encoder",
                    f"others in coding step {done // PARITY_BYTES}",
                    "decode where it was encoded: same device kind, JAX version and "
                    "threads; streams coded with numerics `exact` need none of this",
                )
            left[image] = left[image][len(parity) :]
            return portion.values(
                decoders[image].get(portion.table_index.ravel(), portion.tables)
            )

        y_hat = self._run(opened, code)
        for decoder in decoders:
            decoder.finish()
        return y_hat

    def _run(self, opened: Sequence[Opened], code: CodeImage) -> Any:
        """y_hat f32[n,h,w,C] from what `code` makes of each image's part of a step; on
        the device where it is `resident`."""
        header = opened[0].header
        networks = self._coding.networks(header.numerics)
        image_px = self._coding.padded_px(opened[0].size_px)
        run = (
            networks.run_on_device if networks.are_resident(image_px) else networks.run
        )
        return run(self.for_images(opened, code), image_px, header.rate)

    def for_images(
        self, opened: Sequence[Opened], code: CodeImage
    ) -> Callable[[Any, Any], np.ndarray]:
        """`rdc.model.CodePart` of a batch from a function of one image."""
        rate, shapes = opened[0].header.rate, self._coding.shapes(opened[0].size_px)

        def code_batch(step: Any, parameters: Any) -> np.ndarray:
            def of_images() -> Iterator[np.ndarray]:
                for image in range(len(opened)):
                    own = None if parameters is None else parameters.of_image(image)
                    portion = self._coding.portion(step, own, shapes, rate)
                    yield code(image, portion)

            values = list(of_images())
            return values[0] if len(values) == 1 else np.concatenate(values)

        return code_batch

    def pixels(self, opened: Opened, y_hat: Any) -> np.ndarray:
        """y_hat f32[n,h,w,C] -> u8[n,H,W,3]."""
        height, width = opened.size_px
        x_hat = self._coding.transforms.synthesise(y_hat, opened.header.rate)
        return x_hat[:, :height, :width]

    def stages(self, streams: Sequence[bytes]) -> dict[str, Callable[[], Any]]:
        """`network` and `entropy_coding` of `Codec.decoding_stages`."""
        opened = self.alike(streams)
        recorders = [RecordingDecoder(each.decoder) for each in opened]
        self.latents(opened, recorders)

        def network() -> list[np.ndarray]:
            given = [iter(recorder.symbols) for recorder in recorders]
            y_hat = self._run(opened, lambda i, portion: portion.values(next(given[i])))
            return list(self.pixels(opened[0], y_hat))

        def entropy_coding() -> None:
            for each, recorder in zip(opened, recorders, strict=True):
                decoder = each.decoder
                for table_index, tables in recorder.calls:
                    decoder.get(table_index, tables)
                decoder.finish()

        return {"network": network, "entropy_coding": entropy_coding}

    def in_one_program(self, data: bytes) -> np.ndarray | None:
        """x_hat u8[H,W,3] by one program of the device; None where it rounds otherwise
        than the encoder did.

        Raises:
          BitstreamError: a damaged or foreign stream, or one of another kind.
        """
        header, parity, stream = opened = self.opened(data)
        if (header.coder, header.numerics) != ("rans", "native"):
            raise BitstreamError(
                "one program decodes streams of the coder rans, native",
                f"{header.coder}, {header.numerics}",
                "compress with these settings, or decode it the usual way",
            )
        image_px = self._coding.padded_px(opened.size_px)
        networks = self._coding.networks("native").for_size(image_px)
        steps = networks.coding_steps(header.rate)
        latent_gains = self._coding.exported.model.latent_gains
        pixels = self._one_program.decode(
            RansStream.parsed(stream),
            parity,
            self._coding.shapes(opened.size_px)[steps[0].latent],
            self._coding.exported.prior(header.rate),
            [step.gains for step in steps],
            None if latent_gains is None else latent_gains.on_host(header.rate),
        )
        if pixels is None:
            return None
        return pixels[: header.height_px, : header.width_px]

    @cached_property
    def _one_program(self) -> OneProgram:
        exported = self._coding.exported
        return OneProgram(exported.model, exported.gaussian)
