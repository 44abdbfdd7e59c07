"""TensorFlow Compression's range coder behind a pipe; runs in its own environment.

A program, not a module of the package: `rdc.entropy_coders.tfc_coder` starts it with
the Python of `.venv-tfc`, and it imports nothing of ours. Requests and replies are
msgpack behind a length of four bytes. A request is [name, arguments..]; a reply is
[true, value] or [false, message]. Arrays travel as the bytes of little-endian int32.
"""

import os
import struct
import sys
from typing import Any, BinaryIO

# Whatever the libraries print goes to standard error; the replies have the pipe alone.
replies = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import msgpack  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow_compression.python.ops import gen_ops  # noqa: E402

LENGTH = struct.Struct("<I")


class Worker:
    """Keeps the tables and the coders of all streams under way."""

    def __init__(self) -> None:
        self._lookups: dict[str, Any] = {}
        self._handles: dict[int, Any] = {}
        self._next_handle = 0

    def add_tables(self, name: str, lookup: bytes) -> None:
        """`lookup`: per table -16, then the 17-bit cumulative frequencies from 0."""
        self._lookups[name] = tf.constant(as_integers(lookup))

    def start_encoder(self, tables: str) -> int:
        return self._keep(gen_ops.create_range_encoder([], self._lookups[tables]))

    def encode(self, handle: int, table_index: bytes, values: bytes) -> None:
        self._handles[handle] = gen_ops.entropy_encode_index(
            self._handles[handle], as_integers(table_index), as_integers(values)
        )

    def finish_encoder(self, handle: int) -> bytes:
        return gen_ops.entropy_encode_finalize(self._handles.pop(handle)).numpy()

    def start_decoder(self, tables: str, stream: bytes) -> int:
        lookup = self._lookups[tables]
        return self._keep(gen_ops.create_range_decoder(tf.constant(stream), lookup))

    def decode(self, handle: int, table_index: bytes) -> bytes:
        index = as_integers(table_index)
        self._handles[handle], values = gen_ops.entropy_decode_index(
            self._handles[handle], index, index.shape, tf.int32
        )
        return values.numpy().astype("<i4").tobytes()

    def finish_decoder(self, handle: int) -> bool:
        return bool(gen_ops.entropy_decode_finalize(self._handles.pop(handle)).numpy())

    def drop(self, handle: int) -> None:
        self._handles.pop(handle, None)

    def version(self) -> str:
        return tf.__version__

    def _keep(self, handle: Any) -> int:
        self._next_handle += 1
        self._handles[self._next_handle] = handle
        return self._next_handle


def as_integers(data: bytes) -> np.ndarray:
    return np.frombuffer(data, "<i4").astype(np.int32)


def serve(requests: BinaryIO) -> None:
    worker = Worker()
    while header := requests.read(LENGTH.size):
        name, *arguments = msgpack.unpackb(requests.read(LENGTH.unpack(header)[0]))
        try:
            reply = [True, getattr(worker, name)(*arguments)]
        except tf.errors.OpError as error:
            reply = [False, error.message]
        data = msgpack.packb(reply)
        replies.write(LENGTH.pack(len(data)) + data)
        replies.flush()


if __name__ == "__main__":
    # The coder is one stream of steps: threads would only wait for each other.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    serve(sys.stdin.buffer)
