"""A worker for tests of models together: keeps the protocol, trains nothing.

Run as `python models_worker.py LAB ATTEMPT_DIR`. `LAB/plan.json` maps a lambda to how
its attempts 1, 2, ... end: `ok` or `diverged` alone, or `killed`, `crashed` or `oom`,
which end the process of all. `LAB/journal.txt` has one line per process: its lambdas
with the number of their attempt, and how often the batch was divided.
"""

import json
import os
import signal
import sys
from pathlib import Path

from rdc.errors import ExitCode
from rdc.jobs.job import TrainJob
from rdc.jobs.layout import CHECKPOINT_FOLDER, MODEL_FOLDER, RECORD_FILE
from rdc.jobs.records import Record, TrainResult
from rdc.jobs.worker import read_attempt
from rdc.system.files import write_json_atomically
from rdc.training.summary import TrainingSummary

lab, folder = Path(sys.argv[1]), Path(sys.argv[2])
plan = json.loads((lab / "plan.json").read_text())
first = read_attempt(folder)
attempts = [first, *map(read_attempt, map(Path, first.request.together))]
ends = []
names = []
for attempt in attempts:
    assert isinstance(attempt.job, TrainJob)
    (rate,) = attempt.job.model.rates
    number = int(attempt.folder.name)
    planned = plan.get(str(rate), [])
    ends.append(planned[number - 1] if len(planned) >= number else "ok")
    names.append(f"{rate}:{number}")
    resumed = [Path(path).name for path in attempt.request.resume_from]
    assert resumed == [str(n) for n in range(1, number)]
    (attempt.folder / CHECKPOINT_FOLDER / str(number)).mkdir(parents=True)
with open(lab / "journal.txt", "a") as file:
    file.write(f"{' '.join(names)} micro={first.request.accumulate}\n")
if "killed" in ends:
    os.kill(os.getpid(), signal.SIGKILL)
if "crashed" in ends:
    raise RuntimeError("crashed")
if "oom" in ends:
    ends = ["oom"] * len(ends)
for attempt, end in zip(attempts, ends, strict=True):
    result = {}
    if end == "ok":
        (attempt.folder / MODEL_FOLDER).mkdir()
        summary = TrainingSummary(
            steps=3,
            batch_size=2,
            accumulate=first.request.accumulate,
            devices=1,
            models_together=len(attempts),
            skipped_images=0,
            skipped_steps=0,
            rollbacks=0,
            train_seconds=1.0,
            input_seconds=0.0,
            checkpoint_seconds=0.0,
            steps_per_second=3.0,
            loss_first=2.0,
            loss_last=1.0,
        )
        result = TrainResult(
            arch_id=attempt.job.arch_id,
            data_sha256=attempt.job.model.data_sha256,
            summary=summary,
            resumed_from_step=0,
            model_dir=MODEL_FOLDER,
        ).to_dict()
    record = Record(
        stage=attempt.job.stage,
        job_id=attempt.job.job_id,
        status=end,
        attempt=int(attempt.folder.name),
        error=None if end == "ok" else end,
        result=result,
    )
    write_json_atomically(attempt.folder / RECORD_FILE, record.to_dict())
codes = {
    "ok": ExitCode.OK,
    "diverged": ExitCode.DIVERGED,
    "oom": ExitCode.OUT_OF_MEMORY,
}
found = {codes[end] for end in ends}
sys.exit(found.pop() if len(found) == 1 else ExitCode.OK)
