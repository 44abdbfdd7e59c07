"""Entropy coders behind one interface, by name."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from rdc.entropy_coders.range_coder import RangeCoder
from rdc.entropy_coders.rans_coder import RansCoder
from rdc.entropy_coders.tables import CdfTables
from rdc.entropy_coders.tfc_coder import TfcCoder
from rdc.errors import ConfigError


class Encoder(Protocol):
    """Takes symbols in any number of portions and gives the stream."""

    def put(
        self, symbols: np.ndarray, table_index: np.ndarray, tables: CdfTables
    ) -> None:
        """Appends `symbols`, i32[n], each by the table of its index, int[n]."""

    def finish(self) -> bytes:
        """The stream; the encoder takes no more."""


class Decoder(Protocol):
    """Gives the portions back, in order and of the same sizes."""

    def get(self, table_index: np.ndarray, tables: CdfTables) -> np.ndarray:
        """The next portion of symbols, i32[n].

        Raises:
          BitstreamError: the stream is damaged, as far as it shows.
        """

    def finish(self) -> None:
        """Checks that the stream is used up.

        Raises:
          BitstreamError: something is left.
        """


class EntropyCoder(Protocol):
    """Makes encoders and decoders of one kind of stream.

    Attributes:
      is_external: it runs in a program of its own, which no stream may start.
    """

    name: str
    is_external: bool

    def encoder(self) -> Encoder: ...

    def decoder(self, stream: bytes) -> Decoder: ...

    def least_bits(self, count: int, tables: CdfTables) -> float:
        """Of a stream with `count` symbols of each table; 0 where nothing is known."""


CODERS: dict[str, EntropyCoder] = {
    coder.name: coder for coder in (RangeCoder(), TfcCoder(), RansCoder())
}


def coder_by_name(name: str) -> EntropyCoder:
    """The coder that a configuration names.

    Raises:
      ConfigError: no such coder.
    """
    if name not in CODERS:
        raise ConfigError(f"codec.coder is one of {', '.join(CODERS)}", repr(name))
    return CODERS[name]
