"""What the two sides share; imports NumPy alone, as each has its own packages.

run_SIDE.py FAMILY ...
    prints the multiply-accumulates of the decoder's networks for one image; then
    answers each line of standard input with the milliseconds of one decode, of
    the wall clock and of all processors together
"""

import sys
import time

HEIGHT_PX, WIDTH_PX = 512, 768  # Kodak's
THREADS = 2


def serve(macs, decode):
    """Times one call of `decode()` a line, after two to warm up."""
    for _ in range(2):
        decode()
    print(macs, flush=True)
    for _ in sys.stdin:
        start, start_cpu = time.perf_counter(), time.process_time()
        decode()
        seconds = time.perf_counter() - start, time.process_time() - start_cpu
        print(*(1000 * s for s in seconds), flush=True)
