"""A worker for tests of rates together: keeps the protocol, trains nothing.

Run as `python rates_worker.py LAB ATTEMPT_DIR`. `LAB/plan.json` maps a rate to how its
attempts 1, 2, ... end: `ok` or `diverged` alone, or `killed` or `oom`, which end the
process of all. `LAB/journal.txt` has one line per process: its rates with the number of
their attempt, and how often the batch was divided.
"""

import json
import os
import signal
import sys
from pathlib import Path

from rdc.system.files import read_json, write_json_atomically

lab, first = Path(sys.argv[1]), Path(sys.argv[2])
request = read_json(first / "request.json")
plan = json.loads((lab / "plan.json").read_text())
ends = {}
names = []
for attempt in [first, *map(Path, request["together"])]:
    rate = str(read_json(attempt.parents[1] / "spec.json")["train"]["lmbda"])
    number = int(attempt.name)
    planned = plan.get(rate, [])
    ends[attempt] = planned[number - 1] if len(planned) >= number else "ok"
    names.append(f"{rate}:{number}")
    resumed = read_json(attempt / "request.json")["resume_from"]
    assert [Path(path).name for path in resumed] == [str(n) for n in range(1, number)]
with open(lab / "journal.txt", "a") as file:
    file.write(f"{' '.join(names)} micro={request['accumulate']}\n")
if "killed" in ends.values():
    os.kill(os.getpid(), signal.SIGKILL)
if "oom" in ends.values():
    ends = dict.fromkeys(ends, "oom")
for attempt, end in ends.items():
    if end == "ok":
        (attempt / "model").mkdir()
    record = {
        "stage": "train",
        "job_id": attempt.parents[1].name,
        "status": end,
        "attempt": int(attempt.name),
        "error": None if end == "ok" else end,
        "result": {"model_dir": "model"} if end == "ok" else {},
        "environment": {},
    }
    write_json_atomically(attempt / "record.json", record)
codes = {"ok": 0, "diverged": 10, "oom": 11}
found = {codes[end] for end in ends.values()}
sys.exit(found.pop() if len(found) == 1 else 0)
