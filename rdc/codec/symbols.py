"""Between latents and the entropy coder: symbols, their tables, checksums."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdc.entropy_coders.coders import Decoder
from rdc.entropy_coders.tables import CdfTables
from rdc.errors import DataError
from rdc.layers import NO_GAINS, StepGains

PARITY_BYTES = 2  # per Gaussian step: a checksum of its entropy parameters


@dataclass(frozen=True)
class Portion:
    """How the symbols of one coding step are coded.

    value = symbol * inverse * step + offset

    Attributes:
      offset: f[1,h,w,C], or 0 for plain integers.
      table_index: int[1,h,w,C].
      gains: of the rate, on the host.
      step: of the quantisation, f[1,h,w,C]; None: 1.
      is_computed: by networks, which another device may compute otherwise.
      is_final: values are only for the synthesis, which takes float32.
    """

    offset: Any
    table_index: np.ndarray
    tables: CdfTables
    gains: StepGains = NO_GAINS
    step: np.ndarray | None = None
    is_computed: bool = False
    is_final: bool = False

    @classmethod
    def of_prior(
        cls,
        shape: tuple[int, int, int],
        tables: CdfTables,
        gains: StepGains = NO_GAINS,
    ) -> Portion:
        """All of a latent [h,w,C]: the table index is the channel."""
        channels = np.arange(shape[-1], dtype=np.int32)
        index = np.broadcast_to(channels, (1, *shape))
        return cls(np.float32(0), index, tables, gains)

    @classmethod
    def of_gaussian(
        cls,
        parameters: Any,
        tables: CdfTables,
        gains: StepGains = NO_GAINS,
        is_final: bool = False,
    ) -> Portion:
        """A part under its `rdc.codec.networks.HostParameters`."""
        mean, index = parameters.mean, parameters.table_index
        return cls(
            mean,
            index,
            tables,
            gains,
            parameters.step,
            is_computed=True,
            is_final=is_final,
        )

    @property
    def parity(self) -> bytes:
        """Checksum of offset, step and table index; empty where none was computed."""
        if not self.is_computed:
            return b""
        checksum = 0
        for part in (self.offset, self.step):
            if part is not None:
                checksum = zlib.crc32(np.ascontiguousarray(part).data, checksum)
        for row in self.table_index[0]:  # as i32, of which a large image has many
            checksum = zlib.crc32(row.astype(np.int32).data, checksum)
        return (checksum & 0xFFFF).to_bytes(PARITY_BYTES, "little")

    def symbols(self, values: np.ndarray) -> np.ndarray:
        """The nearest symbols, i32[1,h,w,C].

        Raises:
          DataError: values or offsets that are not finite.
        """
        symbols = np.empty(self.table_index.shape, np.int32)
        gain, offset = factor(self.gains.gain), self._offset_rows()
        for row in range(len(symbols[0])):  # a large image has no room for another
            centred = (values[:, row] - offset[:, row]) * gain
            if self.step is not None:
                centred = centred / self.step[:, row]
            if not np.isfinite(centred).all():
                raise DataError(
                    "latents are finite",
                    "infinite or NaN ones",
                    "the model has diverged",
                )
            symbols[:, row] = np.rint(centred)
        return symbols

    def values(self, symbols: np.ndarray) -> np.ndarray:
        """Inverse of `symbols`, f[1,h,w,C]; symbols may be flat."""
        shape = self.table_index.shape
        symbols, offset = symbols.reshape(shape), self._offset_rows()
        inverse = factor(self.gains.inverse)
        dtypes = [part for part in (offset, inverse, self.step) if part is not None]
        dtype = np.float32 if self.is_final else np.result_type(*dtypes)
        values = np.empty(shape, dtype)
        for row in range(len(values[0])):
            whole = symbols[:, row].astype(np.float32) * inverse
            if self.step is not None:
                whole = whole * self.step[:, row]
            values[:, row] = whole + offset[:, row]
        return values

    def _offset_rows(self) -> np.ndarray:
        return np.broadcast_to(self.offset, self.table_index.shape)


@dataclass(frozen=True)
class SymbolPortion(Portion):
    """One of which the device keeps the offset (`rdc.codec.resident`).

    Attributes:
      checksum: as `parity`; empty where nothing was computed.
    """

    checksum: bytes = b""

    @property
    def parity(self) -> bytes:
        return self.checksum

    def values(self, symbols: np.ndarray) -> np.ndarray:
        """The symbols themselves, i32[1,h,w,C]."""
        return symbols.reshape(self.table_index.shape)


def factor(log: Any) -> Any:
    """e^log, f32, by additions and multiplications: the same on every machine."""
    part = np.asarray(log, np.float64) * 2.0**-12
    result = 1.0 + part * (1.0 + part * (0.5 + part * (1.0 / 6.0)))
    for _ in range(12):
        result = result * result
    return result.astype(np.float32)


class RecordingDecoder:
    """A decoder that remembers what it was asked for and what it gave."""

    def __init__(self, decoder: Decoder):
        self._decoder = decoder
        self.calls: list[tuple[np.ndarray, CdfTables]] = []
        self.symbols: list[np.ndarray] = []

    def get(self, table_index: np.ndarray, tables: CdfTables) -> np.ndarray:
        self.calls.append((table_index, tables))
        self.symbols.append(self._decoder.get(table_index, tables))
        return self.symbols[-1]

    def finish(self) -> None:
        self._decoder.finish()
