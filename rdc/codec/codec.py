"""Images to bytes and back: the one path of evaluation and of the command line."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np

from rdc.codec.container import Header, pack, unpack
from rdc.codec.exported import ExportedModel, load_exported
from rdc.codec.networks import EntropyNetworks, TransformNetworks, estimated_bits
from rdc.codec.numerics import Arithmetic, arithmetic_by_id, arithmetic_by_name
from rdc.codec.shipped import model_folder
from rdc.entropy_coders.coders import Decoder, Encoder, coder_by_id, coder_by_name
from rdc.entropy_coders.tables import CdfTables
from rdc.errors import BitstreamError, ConfigError, DataError
from rdc.model import CompressionModel

PARITY_BYTES = 2  # per slice: a checksum of its entropy parameters
DEFAULT_MAX_PIXELS = 2**26  # 8192 x 8192: some GiB of activations


@dataclass(frozen=True)
class Encoded:
    """Bytes of one image, and what the encoder knows of it.

    Attributes:
      bits_estimated: from the likelihoods of the symbols, without any table.
      y_hat: f32[h,w,C], what the decoder must find.
    """

    data: bytes
    bits_estimated: float
    y_hat: np.ndarray


@dataclass(frozen=True)
class Decoded:
    """x_hat u8[H,W,3] and y_hat f32[h,w,C] of one bitstream."""

    x_hat: np.ndarray
    y_hat: np.ndarray


class Codec:
    """A trained model that reads and writes `.rdc` bitstreams (docs/format.md).

    Args:
      exported: the model.
      coder: name of the entropy coder that `compress` uses; `decompress` reads those
        of every coder.
      arithmetic: how `compress` computes entropy parameters: `exact` makes streams
        that every device decodes, `native` is faster and makes streams that a device
        of other floating point refuses. `decompress` reads both.
      max_pixels: of the largest image, padding included, that is coded at all: a
        stream of a few bytes may state any size, and memory grows with it.
    """

    def __init__(
        self,
        exported: ExportedModel,
        coder: str = "range",
        arithmetic: str = "exact",
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ):
        if max_pixels < 1:
            raise ConfigError("codec.max_pixels is positive", max_pixels)
        self._exported = exported
        self._coder = coder_by_name(coder)
        self._arithmetic = arithmetic_by_name(arithmetic)
        self._max_pixels = max_pixels
        self._transforms = TransformNetworks(exported.model)
        self._num_slices = len(exported.model.slices)
        self._entropy: dict[str, EntropyNetworks] = {}

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        coder: str = "range",
        arithmetic: str = "exact",
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> Self:
        """Loads a model that comes with the package, by name, or an exported folder.

        Args:
          model: None for the default, `light`.

        Raises:
          ConfigError: not a model folder.
          StorageError: a file of the model is damaged.
        """
        exported = load_exported(model_folder(model))
        return cls(exported, coder, arithmetic, max_pixels)

    @property
    def model(self) -> CompressionModel:
        return self._exported.model

    @property
    def provenance(self) -> dict[str, Any]:
        """How the model was trained, as its folder says."""
        return self._exported.provenance

    def compress(self, x: np.ndarray) -> bytes:
        """u8[H,W,3] -> bytes of a `.rdc` file."""
        return self.encode(x).data

    def decompress(self, data: bytes) -> np.ndarray:
        """Bytes of a `.rdc` file -> u8[H,W,3].

        Raises:
          BitstreamError: damaged, foreign, or made with another model or on a device
            whose arithmetic differs.
        """
        return self.decode(data).x_hat

    def encode(self, x: np.ndarray) -> Encoded:
        """Compresses an image, u8[H,W,3] with H, W >= 1.

        Raises:
          DataError: another shape or type, or over `max_pixels`.
        """
        check_image_array(x)
        if (pixels := self._padded_pixels(*x.shape[:2])) > self._max_pixels:
            raise DataError(
                f"images to code have at most {self._max_pixels} pixels with padding",
                pixels,
                "allow more with --max-pixels, where memory does",
            )
        encoder = self._coder.encoder()
        y = self._transforms.analyse(self._padded(x))
        if self.model.hyper_synthesis is None:
            symbols = _rounded(y)
            encoder.put(symbols.ravel(), _channels(symbols.shape), self._exported.prior)
            bits = self._transforms.prior_bits(symbols)
            return self._encoded(x, b"", encoder, bits, symbols.astype(np.float32))

        z_symbols = _rounded(self._transforms.hyperlatents(y))
        encoder.put(z_symbols.ravel(), _channels(z_symbols.shape), self._exported.prior)
        slice_bits: list[float] = []
        parity: list[bytes] = []
        y_slices = np.split(y, self._num_slices, axis=-1)

        def quantize(i: int, mean: jax.Array, scale_index: jax.Array) -> np.ndarray:
            offset, index = np.asarray(mean), _table_index(scale_index)
            symbols = _rounded(y_slices[i][None] - offset)
            parity.append(_parity(offset, index))
            encoder.put(symbols.ravel(), index.ravel(), self._exported.gaussian)
            centred = symbols.astype(np.float32)
            continuous_index = np.asarray(scale_index, np.float32)
            slice_bits.append(float(estimated_bits(centred, continuous_index)))
            return centred + offset

        y_hat = self._decode_y(z_symbols, quantize, self._arithmetic)
        bits = self._transforms.prior_bits(z_symbols) + sum(slice_bits)
        return self._encoded(x, b"".join(parity), encoder, bits, y_hat)

    def decode(self, data: bytes) -> Decoded:
        """Reads a bitstream; raises as `decompress`."""
        header, stream, parity = self._opened(data)
        decoder = coder_by_id(header.coder_id).decoder(stream)
        y_hat = self._decode_latents(header, parity, decoder)
        x_hat = self._transforms.synthesise(y_hat)
        return Decoded(x_hat[: header.height_px, : header.width_px], y_hat)

    def symbol_decoding(self, data: bytes) -> Callable[[], None]:
        """The entropy decoding of `data` alone, table indices given, to be timed."""
        header, stream, parity = self._opened(data)
        coder = coder_by_id(header.coder_id)
        recorder = _Recorder(coder.decoder(stream))
        self._decode_latents(header, parity, recorder)

        def run() -> None:
            decoder = coder.decoder(stream)
            for table_index, tables in recorder.calls:
                decoder.get(table_index, tables)
            decoder.finish()

        return run

    def _opened(self, data: bytes) -> tuple[Header, bytes, bytes]:
        """(header, entropy-coded stream, checksums of the slices) of a bitstream."""
        header, payload = unpack(data)
        pixels = self._padded_pixels(header.height_px, header.width_px)
        if pixels > self._max_pixels:
            raise BitstreamError(
                f"streams to decode hold at most {self._max_pixels} pixels with "
                "padding",
                f"{header.width_px} x {header.height_px} and padding: {pixels}",
                "allow more with --max-pixels, if you trust the file",
            )
        if header.model_id.hex() != self._exported.identity:
            raise BitstreamError(
                "a bitstream is decoded with the model that wrote it",
                f"model {self._exported.identity} for a stream of "
                f"{header.model_id.hex()}",
                "name that model with --model",
            )
        parity_size = PARITY_BYTES * self._num_slices
        if len(payload) < parity_size:
            raise BitstreamError("the payload holds its checksums", f"{len(payload)} B")
        return header, payload[parity_size:], payload[:parity_size]

    def _decode_latents(
        self, header: Header, parity: bytes, decoder: Decoder
    ) -> np.ndarray:
        y_shape, z_shape = self._latent_shapes(header.height_px, header.width_px)
        prior = self._exported.prior
        if z_shape is None:
            symbols = decoder.get(_channels(y_shape), prior)
            decoder.finish()
            return symbols.reshape(y_shape).astype(np.float32)

        z_symbols = decoder.get(_channels(z_shape), prior).reshape(z_shape)

        def quantize(i: int, mean: jax.Array, scale_index: jax.Array) -> np.ndarray:
            offset, index = np.asarray(mean), _table_index(scale_index)
            if _parity(offset, index) != parity[PARITY_BYTES * i :][:PARITY_BYTES]:
                raise BitstreamError(
                    "this device computes the entropy parameters of the encoder",
                    f"others in slice {i}",
                    "decode where it was encoded: same device kind, JAX version and "
                    "threads; streams coded with arithmetic `exact` need none of this",
                )
            symbols = decoder.get(index.ravel(), self._exported.gaussian)
            return symbols.reshape(offset.shape).astype(np.float32) + offset

        arithmetic = arithmetic_by_id(header.arithmetic_id)
        y_hat = self._decode_y(z_symbols, quantize, arithmetic)
        decoder.finish()
        return y_hat

    def _decode_y(
        self, z_symbols: np.ndarray, quantize: Callable, arithmetic: Arithmetic
    ) -> np.ndarray:
        networks = self._entropy.get(arithmetic.name)
        if networks is None:
            networks = EntropyNetworks(self.model, arithmetic)
            self._entropy[arithmetic.name] = networks
        return networks.decode_slices(z_symbols.astype(np.float32), quantize)

    def _encoded(
        self,
        x: np.ndarray,
        parity: bytes,
        encoder: Encoder,
        bits: float,
        y_hat: np.ndarray,
    ) -> Encoded:
        header = Header(
            model_id=bytes.fromhex(self._exported.identity),
            height_px=x.shape[0],
            width_px=x.shape[1],
            coder_id=self._coder.coder_id,
            arithmetic_id=self._arithmetic.arithmetic_id,
        )
        return Encoded(pack(header, parity + encoder.finish()), bits, y_hat)

    def _padded(self, x: np.ndarray) -> np.ndarray:
        padded = self._padded_sides(*x.shape[:2])
        pads = [(0, new - old) for new, old in zip(padded, x.shape, strict=False)]
        return np.pad(x, [*pads, (0, 0)], mode="edge")

    def _padded_sides(self, height: int, width: int) -> tuple[int, int]:
        multiple = self.model.spec.padding_multiple_px
        return -(-height // multiple) * multiple, -(-width // multiple) * multiple

    def _padded_pixels(self, height: int, width: int) -> int:
        return math.prod(self._padded_sides(height, width))

    def _latent_shapes(
        self, height: int, width: int
    ) -> tuple[tuple[int, int, int], tuple[int, int, int] | None]:
        spec = self.model.spec
        stride = spec.transform.stride
        h, w = (side // stride for side in self._padded_sides(height, width))
        y_shape = (h, w, spec.transform.latent_channels)
        hyper = spec.hyper_transform
        if hyper is None:
            return y_shape, None
        return y_shape, (
            h // hyper.stride,
            w // hyper.stride,
            hyper.hyperlatent_channels,
        )


def check_image_array(x: np.ndarray) -> None:
    """Raises `DataError` unless `x` is u8[H,W,3] with H, W >= 1."""
    if x.dtype != np.uint8 or x.ndim != 3 or x.shape[2] != 3 or not x.size:
        raise DataError(
            "images are uint8 arrays [H, W, 3]", f"{x.dtype}{list(x.shape)}"
        )


def _rounded(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise DataError(
            "latents are finite", "infinite or NaN ones", "the model has diverged"
        )
    return np.rint(values).astype(np.int32)


def _table_index(scale_index: jax.Array) -> np.ndarray:
    return np.rint(np.asarray(scale_index)).astype(np.int32)


def _channels(shape: tuple[int, ...]) -> np.ndarray:
    """Channel number of every position of [h,w,C], flat: the prior's table indices."""
    height, width, channels = shape
    return np.tile(np.arange(channels, dtype=np.int32), height * width)


def _parity(mean: np.ndarray, index: np.ndarray) -> bytes:
    checksum = zlib.crc32(index.tobytes(), zlib.crc32(mean.tobytes()))
    return (checksum & 0xFFFF).to_bytes(PARITY_BYTES, "little")


class _Recorder:
    """A decoder that remembers what it was asked for."""

    def __init__(self, decoder: Decoder):
        self._decoder = decoder
        self.calls: list[tuple[np.ndarray, CdfTables]] = []

    def get(self, table_index: np.ndarray, tables: CdfTables) -> np.ndarray:
        self.calls.append((table_index, tables))
        return self._decoder.get(table_index, tables)

    def finish(self) -> None:
        self._decoder.finish()
