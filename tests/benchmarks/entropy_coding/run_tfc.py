"""TensorFlow Compression's range coder, its operations called in this process."""

import numpy as np
import tensorflow as tf
from tensorflow_compression.python.ops import gen_ops
from timing import load, report

symbols, table_index, frequencies, offsets = load()
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
lookup = tf.constant(
    np.concatenate([[-16, 0, *np.cumsum(f, dtype=int)] for f in frequencies]), tf.int32
)


def encode():
    handle = gen_ops.create_range_encoder([], lookup)
    values = symbols - offsets[table_index]
    handle = gen_ops.entropy_encode_index(handle, table_index, values)
    return gen_ops.entropy_encode_finalize(handle).numpy()


def decode(stream):
    handle = gen_ops.create_range_decoder(stream, lookup)
    _, values = gen_ops.entropy_decode_index(
        handle, table_index, table_index.shape, tf.int32
    )
    return values.numpy() + offsets[table_index]


report(symbols, encode, decode)
