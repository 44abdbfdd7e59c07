"""Freed memory stays with the process."""

from __future__ import annotations

import subprocess
import sys

# New pages that the third of three blocks of 64 MiB takes from the kernel.
PROGRAM = """
import resource
import threading
from rdc.system.host_memory import keep_freed_memory

if {kept}:
    keep_freed_memory()

def faults_of_a_block():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(b"x") * (1 << 26)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def run():
    print([faults_of_a_block() for _ in range(3)][-1])

thread = threading.Thread(target=run)  # XLA, too, allocates in threads of its own
thread.start()
thread.join()
"""


def faults(kept: bool) -> int:
    program = PROGRAM.format(kept=kept)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_memory_is_used_again() -> None:
    assert faults(kept=True) < 100


def test_what_happens_otherwise() -> None:
    assert faults(kept=False) > 10 * 100
