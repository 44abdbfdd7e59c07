"""The worker of jobs, in which the last process of a gang gets signals in its middle.

Run as `python gang_worker.py LAB ATTEMPT_DIR`. `LAB/signals.json` has a name per
attempt, as `SIGTERM`; it comes before the third batch.
"""

import json
import os
import signal
import sys
from itertools import count
from pathlib import Path

from rdc.jobs import worker
from rdc.system.gang import Seat
from rdc.training.course import Course

LAB, ATTEMPT = Path(sys.argv[1]), Path(sys.argv[2])
signals = json.loads((LAB / "signals.json").read_text())
number = int(ATTEMPT.name)
seat = Seat.taken()
if seat is not None and seat.rank > 0 and number <= len(signals):
    name, batch, calls = signals[number - 1], Course._next_batch, count(1)

    def next_batch(course: Course) -> object:
        if next(calls) == 3:
            os.kill(os.getpid(), signal.Signals[name])
        return batch(course)

    Course._next_batch = next_batch  # type: ignore[method-assign]

sys.exit(worker.main([str(ATTEMPT)]))
