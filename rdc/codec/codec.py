"""Images to bytes and back: the one path of evaluation and of the command line."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import jax
import numpy as np

from rdc.codec.coders import Decoder, Encoder, coder_by_id, coder_by_name
from rdc.codec.container import Header, pack, unpack
from rdc.codec.errors import BitstreamError
from rdc.codec.exported import ExportedModel, load_exported
from rdc.codec.networks import CodecNetworks, estimated_bits
from rdc.codec.tables import CdfTables
from rdc.data.images import MAX_PIXELS
from rdc.errors import ConfigError, DataError
from rdc.model import CompressionModel

PARITY_BYTES = 2  # per slice: a checksum of its entropy parameters


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
    """

    def __init__(self, exported: ExportedModel, coder: str = "range"):
        self._exported = exported
        self._coder = coder_by_name(coder)
        self._networks = CodecNetworks(exported.model)

    @classmethod
    def load(cls, model: str | Path | None = None, coder: str = "range") -> Self:
        """Loads an exported model folder.

        Raises:
          ConfigError: not a model folder.
          StorageError: a file of the model is damaged.
        """
        if model is None:
            raise ConfigError(
                "a codec needs a model",
                "none",
                "name a folder written by a training: OUT/runs/../attempts/1/model",
            )
        return cls(load_exported(Path(model)), coder)

    @property
    def model(self) -> CompressionModel:
        return self._exported.model

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
          DataError: another shape or type, or over 2^28 pixels.
        """
        check_image_array(x)
        encoder = self._coder.encoder()
        y = self._networks.analyse(self._padded(x))
        if self.model.hyper_synthesis is None:
            symbols = _rounded(y)
            encoder.put(symbols.ravel(), _channels(symbols.shape), self._exported.prior)
            bits = self._networks.prior_bits(symbols)
            return self._encoded(x, b"", encoder, bits, symbols.astype(np.float32))

        z_symbols = _rounded(self._networks.hyperlatents(y))
        encoder.put(z_symbols.ravel(), _channels(z_symbols.shape), self._exported.prior)
        slice_bits: list[float] = []
        parity: list[bytes] = []
        y_slices = np.split(y, self._networks.num_slices, axis=-1)

        def quantize(i: int, mean: jax.Array, scale_index: jax.Array) -> np.ndarray:
            offset, index = np.asarray(mean), _table_index(scale_index)
            symbols = _rounded(y_slices[i][None] - offset)
            parity.append(_parity(offset, index))
            encoder.put(symbols.ravel(), index.ravel(), self._exported.gaussian)
            centred = symbols.astype(np.float32)
            slice_bits.append(float(estimated_bits(centred, scale_index)))
            return centred + offset

        y_hat = self._decode_y(z_symbols, quantize)
        bits = self._networks.prior_bits(z_symbols) + sum(slice_bits)
        return self._encoded(x, b"".join(parity), encoder, bits, y_hat)

    def decode(self, data: bytes) -> Decoded:
        """Reads a bitstream; raises as `decompress`."""
        header, stream, parity = self._opened(data)
        decoder = coder_by_id(header.coder_id).decoder(stream)
        y_hat = self._decode_latents(header, parity, decoder)
        x_hat = self._networks.synthesise(y_hat)
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
        if header.model_id.hex() != self._exported.identity:
            raise BitstreamError(
                "a bitstream is decoded with the model that wrote it",
                f"model {self._exported.identity} for a stream of "
                f"{header.model_id.hex()}",
                "name that model with --model",
            )
        parity_size = PARITY_BYTES * self._networks.num_slices
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
                    "threads",
                )
            symbols = decoder.get(index.ravel(), self._exported.gaussian)
            return symbols.reshape(offset.shape).astype(np.float32) + offset

        y_hat = self._decode_y(z_symbols, quantize)
        decoder.finish()
        return y_hat

    def _decode_y(self, z_symbols: np.ndarray, quantize: Callable) -> np.ndarray:
        features = self._networks.features(z_symbols.astype(np.float32))
        return self._networks.decode_slices(features, quantize)

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
        )
        return Encoded(pack(header, parity + encoder.finish()), bits, y_hat)

    def _padded(self, x: np.ndarray) -> np.ndarray:
        multiple = self.model.spec.padding_multiple_px
        pads = [(0, -side % multiple) for side in x.shape[:2]]
        return np.pad(x, [*pads, (0, 0)], mode="edge")

    def _latent_shapes(
        self, height: int, width: int
    ) -> tuple[tuple[int, int, int], tuple[int, int, int] | None]:
        spec = self.model.spec
        multiple, stride = spec.padding_multiple_px, spec.transform.stride
        h, w = (-(-side // multiple) * multiple // stride for side in (height, width))
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
    """Raises `DataError` unless `x` is u8[H,W,3] of a size that the format holds."""
    if x.dtype != np.uint8 or x.ndim != 3 or x.shape[2] != 3 or not x.size:
        raise DataError(
            "images are uint8 arrays [H, W, 3]", f"{x.dtype}{list(x.shape)}"
        )
    if x.shape[0] * x.shape[1] > MAX_PIXELS:
        raise DataError(
            f"images have at most {MAX_PIXELS} pixels", f"{x.shape[1]} x {x.shape[0]}"
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
