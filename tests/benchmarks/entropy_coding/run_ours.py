"""Our coder `range` or `rans`, `rans_device` in JAX, or the worker of `tfc`."""

import sys
import time

import numpy as np
from timing import load, report

from rdc.entropy_coders.coders import coder_by_name
from rdc.entropy_coders.tables import CdfTables

symbols, table_index, frequencies, offsets = load()
tables = CdfTables(
    np.concatenate(frequencies),
    np.array([f.size for f in frequencies], np.int32),
    offsets,
)
coder = coder_by_name(sys.argv[2].removesuffix("_device"))
decoder_of = coder.decoder
if sys.argv[2].endswith("_device"):
    from rdc.entropy_coders.rans_device import DeviceDecoder

    decoder_of = DeviceDecoder


def encode():
    encoder = coder.encoder()
    encoder.put(symbols, table_index, tables)
    return encoder.finish()


def decode(stream):
    decoder = decoder_of(stream)
    decoded = decoder.get(table_index, tables)
    decoder.finish()
    return decoded


# The worker's time is not this process's.
clock = time.perf_counter if coder.name == "tfc" else time.process_time
# What takes long needs no more runs to be measured.
report(symbols, encode, decode, clock, repeats=2 if coder.name == "rans" else None)
