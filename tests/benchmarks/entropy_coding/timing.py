"""What the three runners share; imports NumPy alone, as each has its own packages."""

import json
import os
import sys
import time

import numpy as np

REPEATS = 15


def load():
    """(symbols, table_index, list of frequencies, offsets) of the case in argv[1]."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core
    arrays = np.load(sys.argv[1])
    frequencies = np.split(arrays["frequencies"], np.cumsum(arrays["sizes"])[:-1])
    return arrays["symbols"], arrays["table_index"], frequencies, arrays["offsets"]


def report(symbols, encode, decode, clock=time.process_time, repeats=None):
    """Times `encode() -> bytes` and `decode(bytes) -> symbols`; prints JSON.

    The processor's time: on one core it is the wall clock's, less what other programs
    take.
    """
    stream = encode()
    np.testing.assert_array_equal(np.asarray(decode(stream)), symbols)
    times = {"encode_ms": encode, "decode_ms": lambda: decode(stream)}
    result = {
        name: best_ms(function, clock, repeats or REPEATS)
        for name, function in times.items()
    }
    print(json.dumps(result | {"bytes": len(stream)}))


def best_ms(function, clock, repeats):
    """The shortest of some runs: what the machine does when nothing disturbs."""
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append(clock() - start)
    return 1e3 * min(times)
