"""A worker for tests of sweeps: keeps the protocol of a job and fails on request.

Run as `python fault_worker.py LAB ATTEMPT_DIR`. `LAB/faults.json` maps "stage:key" to
what attempts 1, 2, ... do; the key is the seed of a training, or the first digits of
the id of another job. "stage@node" is what all of them do on a node whose environment
has LAB_NODE=node. `LAB/journal.txt` tells what really ran, `LAB/seats.txt` who was
which of how many processes, where, and what it heard of TPUs.

Nothing depends on how fast the machine is: while `LAB/hold` is there, no training goes
beyond the step that it names.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from rdc.system.files import read_json, storage_error, write_json_atomically
from rdc.system.gang import Seat

LAB, ATTEMPT = Path(sys.argv[1]), Path(sys.argv[2])
SPEC = read_json(ATTEMPT.parents[1] / "spec.json")
REQUEST = read_json(ATTEMPT / "request.json")
STAGE, NUMBER = SPEC["stage"], int(ATTEMPT.name)
JOB_ID = ATTEMPT.parents[1].name
RECIPE = SPEC["model"]["recipe"] if STAGE == "train" else {}
KEY = str(RECIPE["seed"]) if RECIPE else JOB_ID[:6]
EXITS = {"diverged": 10, "oom": 11, "disk_full": 12, "preempted": 13, "bad_input": 2}
NODE = os.environ.get("LAB_NODE", "")


def note(event: str) -> None:
    with open(LAB / "journal.txt", "a") as file:
        file.write(f"{STAGE} {KEY} {NUMBER} {event}\n")


def write_record(status: str, error: str | None = None, **result) -> None:
    record = {
        "stage": STAGE,
        "job_id": JOB_ID,
        "status": status,
        "attempt": NUMBER,
        "error": error,
        "exit_code": EXITS.get(error or "", 0),
        "result": result,
        "environment": {
            "affinity": len(os.sched_getaffinity(0)),
            "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "raylet": os.environ.get("RAY_RAYLET_PID"),
            "machine": os.environ.get("LAB_MACHINE"),
        },
    }
    write_json_atomically(ATTEMPT / "record.json", record)


def first_step() -> int:
    steps = [0]
    for folder in REQUEST["resume_from"]:
        states = (Path(folder) / "checkpoint").glob("*/state")
        names = [path.parent.name for path in states]
        steps += [int(name) for name in names if name.isdigit()]
    return max(steps)


def save(step: int) -> None:
    begun, whole = (ATTEMPT / "checkpoint" / f"{dot}{step}" for dot in (".", ""))
    try:
        begun.mkdir(parents=True)
        (begun / "state").write_text(str(step))
        begun.rename(whole)
    except OSError as error:
        print(storage_error(error, whole))
        sys.exit(12)


def is_held(step: int) -> bool:
    try:
        return step >= int((LAB / "hold").read_text())
    except FileNotFoundError:
        return False


def train() -> None:
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    steps = RECIPE["steps"]
    for step in range(first_step(), steps):
        while is_held(step) and not stopped:
            time.sleep(0.01)
        note(f"step {step}")
        save(step + 1)
        progress = {"step": step + 1, "steps": steps, "loss": 1.0, "bpp": 0.5}
        write_json_atomically(ATTEMPT / "progress.json", progress)
        if stopped:
            note("stopped")
            sys.exit(13)
    weights = LAB / "weights"
    made = weights.read_text() if weights.exists() else "weights"
    write_json_atomically(ATTEMPT / "model/spec.json", {"identity": made})
    write_record("ok", model_dir="model", model_id=made, steps=steps)


def tell_seat() -> int:
    """Returns its rank."""
    seat = Seat.taken()
    rank, hosts = (0, 1) if seat is None else (seat.rank, len(seat.addresses))
    heard = [f"{k}={v}" for k, v in os.environ.items() if k.startswith("TPU_WORKER")]
    with open(LAB / "seats.txt", "a") as file:
        file.write(" ".join([f"{rank} of {hosts} on {NODE}", *sorted(heard)]) + "\n")
    return rank


def main() -> None:
    if tell_seat() > 0:  # the first does all of the work
        return
    faults = json.loads((LAB / "faults.json").read_text())
    planned = faults.get(f"{STAGE}:{KEY}", faults.get(STAGE, []))
    fault = planned[NUMBER - 1] if len(planned) >= NUMBER else "ok"
    fault = faults.get(f"{STAGE}@{NODE}", fault)
    note(f"begin {fault} micro={REQUEST['accumulate']}" + f" on {NODE}" * bool(NODE))
    if fault in ("ok", "segfault_at_exit", "killed_at_exit", "storage_fails"):
        if STAGE == "train":
            train()
        else:
            measured = None
            if REQUEST["model_dir"] is not None:
                spec = read_json(Path(REQUEST["model_dir"]) / "spec.json")
                measured = spec["identity"]
            write_record("ok", model_id=measured)
        note("done")
        if fault == "storage_fails":  # for a while, from before the driver sees the end
            runs = ATTEMPT.parents[3]
            runs.rename(runs.with_name("away"))
            runs.symlink_to(runs)
        elif fault != "ok":
            number = signal.SIGSEGV if fault.startswith("seg") else signal.SIGKILL
            os.kill(os.getpid(), number)
    elif fault == "stall":  # after a step, if it is the first attempt of a training
        write_json_atomically(ATTEMPT / "progress.json", {"step": 1})
        save(1)
        time.sleep(600)
    elif fault == "hang":
        time.sleep(600)
    elif fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif fault == "no_record":
        pass
    elif fault == "node_fault":
        print("error: a machine that works has a disk.")
        sys.exit(14)
    elif fault == "truncated":
        write_record("ok", model_dir="model")
        path = ATTEMPT / "record.json"
        path.write_bytes(path.read_bytes()[:40])
    elif fault == "full":
        try:
            with open("/dev/full", "w") as file:
                file.write("x" * 100_000)
        except OSError as error:
            print(storage_error(error, ATTEMPT / "record.json"))
            sys.exit(12)
    elif fault in EXITS:
        write_record(fault if fault in ("diverged", "oom") else "failed", fault)
        sys.exit(EXITS[fault])
    else:
        # "crash_a" and "crash_b" differ in their text, and each job in its own.
        raise RuntimeError(f"{fault} of {JOB_ID} in {ATTEMPT}")


main()
