"""The second coder: TensorFlow Compression's range coder in a process of its own.

The package needs Python 3.11 and NumPy 1, so it lives in `.venv-tfc` (`make tfc`) and
is reached through `tfc_worker.py`, which starts with the first stream and serves all
later ones. Set RDC_TFC_PYTHON to use another environment.

Each set of tables has a stream of its own, in the order of first use, each after its
length in four bytes. Escaped symbols are in the coder's own Elias gamma code.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import struct
import subprocess
import threading
from pathlib import Path
from typing import IO, Any, cast

import msgpack
import numpy as np

from rdc.entropy_coders.tables import PRECISION_BITS, CdfTables
from rdc.errors import BitstreamError, ConfigError

ENVIRONMENT = "RDC_TFC_PYTHON"
_DEFAULT_PYTHON = Path(__file__).parents[2] / ".venv-tfc" / "bin" / "python"
_LENGTH = struct.Struct("<I")
_MAX_VALUE = 1 << 29  # the gamma code doubles the value within int32


class TfcCoder:
    """Streams of `entropy_encode_index`."""

    name = "tfc"
    is_external = True

    def encoder(self) -> TfcEncoder:
        """Begins a stream.

        Raises:
          ConfigError: the environment is not there; `make tfc` makes it.
        """
        return TfcEncoder(_worker())

    def decoder(self, stream: bytes) -> TfcDecoder:
        """Begins to decode `stream`; raises as `encoder`, and BitstreamError."""
        return TfcDecoder(_worker(), stream)

    def least_bits(self, count: int, tables: CdfTables) -> float:
        return 0.0


class _Stream:
    """The worker's handles of one stream, by the name of their tables."""

    def __init__(self, worker: _Worker):
        self._worker = worker
        self._handles: dict[str, int] = {}

    def __del__(self) -> None:
        for handle in self._handles.values():
            self._worker.drop(handle)


class TfcEncoder(_Stream):
    """See `rdc.entropy_coders.coders.Encoder`."""

    def put(
        self, symbols: np.ndarray, table_index: np.ndarray, tables: CdfTables
    ) -> None:
        values = symbols.astype(np.int64) - tables.offsets[table_index]
        if values.size and np.abs(values).max() > _MAX_VALUE:
            raise ValueError("this coder takes symbols up to 2^29")
        name = self._worker.add_tables(tables)
        if name not in self._handles:
            self._handles[name] = self._worker.call("start_encoder", name)
        self._worker.call(
            "encode", self._handles[name], _integers(table_index), _integers(values)
        )

    def finish(self) -> bytes:
        handles, self._handles = self._handles.values(), {}
        streams = [self._worker.call("finish_encoder", handle) for handle in handles]
        return b"".join(_LENGTH.pack(len(stream)) + stream for stream in streams)


class TfcDecoder(_Stream):
    """See `rdc.entropy_coders.coders.Decoder`."""

    def __init__(self, worker: _Worker, stream: bytes):
        super().__init__(worker)
        self._streams = _split(stream)

    def get(self, table_index: np.ndarray, tables: CdfTables) -> np.ndarray:
        name = self._worker.add_tables(tables)
        if name not in self._handles:
            if not self._streams:
                raise BitstreamError("each set of tables has a stream", "none is left")
            self._handles[name] = self._worker.call(
                "start_decoder", name, self._streams.pop(0)
            )
        data = self._worker.call("decode", self._handles[name], _integers(table_index))
        return np.frombuffer(data, "<i4") + tables.offsets[table_index]

    def finish(self) -> None:
        handles, self._handles = self._handles.values(), {}
        whole = [self._worker.call("finish_decoder", handle) for handle in handles]
        if self._streams or not all(whole):
            raise BitstreamError("a stream ends with its last symbol", "more data")


class _Worker:
    """The process, its pipes, and the tables it knows."""

    def __init__(self, python: Path):
        self._lock = threading.Lock()
        self._dropped: list[int] = []
        self._tables: set[str] = set()
        self._process = subprocess.Popen(
            [python, Path(__file__).with_name("tfc_worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._requests = cast(IO[bytes], self._process.stdin)
        self._replies = cast(IO[bytes], self._process.stdout)
        atexit.register(self.close)

    def add_tables(self, tables: CdfTables) -> str:
        """Makes `tables` known to the process, once, and gives their name there."""
        if tables.sha256 not in self._tables:
            self.call("add_tables", tables.sha256, _integers(lookup(tables)))
            self._tables.add(tables.sha256)
        return tables.sha256

    def call(self, name: str, *arguments: Any) -> Any:
        """Calls a method of the worker.

        Raises:
          BitstreamError: what the coder refuses.
          ConfigError: the process has ended.
        """
        while self._dropped:
            handle = self._dropped.pop()
            self._exchange(["drop", handle])
        done, value = self._exchange([name, *arguments])
        if not done:
            raise BitstreamError("a stream can be decoded", value)
        return value

    def drop(self, handle: int) -> None:
        """Forgets an unfinished stream with the next call."""
        self._dropped.append(handle)

    def close(self) -> None:
        """Ends the process: it stops at the end of its input."""
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        self._replies.close()
        self._process.wait()

    def _exchange(self, request: list) -> list:
        data = msgpack.packb(request)
        with self._lock:
            try:
                self._requests.write(_LENGTH.pack(len(data)) + data)
                self._requests.flush()
                size = _LENGTH.unpack(self._replies.read(_LENGTH.size))[0]
                return msgpack.unpackb(self._replies.read(size))
            except (BrokenPipeError, struct.error) as error:
                raise ConfigError(
                    "the coder `tfc` runs in an environment with "
                    "tensorflow-compression 2.14.1",
                    f"a process that ended with code {self._process.wait()}",
                    "make the environment anew with `make tfc`",
                ) from error


def lookup(tables: CdfTables) -> np.ndarray:
    """Tables as the coder takes them: -precision and cumulative frequencies, i32."""
    start = np.array([-PRECISION_BITS, 0], np.int32)
    parts = [
        np.concatenate([start, np.cumsum(frequencies, dtype=np.int32)])
        for frequencies in tables.split()
    ]
    return np.concatenate(parts)


def tfc_python() -> Path:
    """The Python of the coder's environment.

    Raises:
      ConfigError: there is none.
    """
    python = Path(os.environ.get(ENVIRONMENT, _DEFAULT_PYTHON))
    if not python.is_file():
        raise ConfigError(
            "the coder `tfc` needs tensorflow-compression in its own environment",
            f"no {python}",
            f"run `make tfc`, or point {ENVIRONMENT} to the Python of such an "
            "environment",
        )
    return python


@functools.lru_cache(maxsize=1)
def _worker() -> _Worker:
    return _Worker(tfc_python())


def _integers(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values, "<i4").tobytes()


def _split(stream: bytes) -> list[bytes]:
    streams, position = [], 0
    while position < len(stream):
        start = position + _LENGTH.size
        if start > len(stream):
            raise BitstreamError("a stream is whole", "a cut length")
        position = start + _LENGTH.unpack_from(stream, position)[0]
        if position > len(stream):
            raise BitstreamError("a stream is whole", "a cut one")
        streams.append(stream[start:position])
    return streams
