"""Our coder (`range`) or, with the argument `tfc`, the worker behind its pipe."""

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
coder = coder_by_name(sys.argv[2])


def encode():
    encoder = coder.encoder()
    encoder.put(symbols, table_index, tables)
    return encoder.finish()


def decode(stream):
    decoder = coder.decoder(stream)
    decoded = decoder.get(table_index, tables)
    decoder.finish()
    return decoded


# The worker's time is not this process's.
clock = time.perf_counter if coder.name == "tfc" else time.process_time
report(symbols, encode, decode, clock)
