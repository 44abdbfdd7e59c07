"""How a sweep stands: what its driver tells, and what others see of it."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from rdc.errors import ConfigError, ExitCode
from rdc.jobs.layout import STATUS_FILE
from rdc.system.files import write_json_atomically
from rdc.system.store import Store
from sweeps.budget import Budget, spent_before
from sweeps.capacity import Resources
from sweeps.lease import LEASE_FILE, Lease, this_process
from sweeps.onlooker import look
from sweeps.outputs import Outputs
from sweeps.status import (
    End,
    RunningStatus,
    StageStatus,
    SweepStatus,
    failed,
    parse_status,
    read_status,
)
from sweeps.stored_outputs import StoredOutputs
from tests.simulated_sweeps import Simulation, tasks_of

RUNNING = RunningStatus(stage="train", label="a", job_id="1", attempt=1, seconds=3.0)
STATUS = SweepStatus(
    grid="lab",
    out="out",
    stages=(StageStatus(stage="train", counts={"ok": 2, "running": 1, "oom": 1}),),
    running=(RUNNING,),
)


def told(out: Path, status: SweepStatus) -> None:
    write_json_atomically(out / STATUS_FILE, status.to_dict())


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    told(tmp_path, STATUS)
    assert read_status(tmp_path) == STATUS
    assert (STATUS.counts.total(), failed(STATUS.counts)) == (4, 1)


def test_a_status_of_another_version_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match=r"is of version 1; got 2\. Look with"):
        parse_status({**STATUS.to_dict(), "schema_version": 2})


def test_a_driver_at_work_one_that_ended_and_one_that_let_go(tmp_path: Path) -> None:
    with Lease(tmp_path) as lease:
        assert look(tmp_path).state == "starting"
        told(tmp_path, STATUS)  # that of the driver before
        assert look(tmp_path).state == "starting"
        own = replace(STATUS, driver=lease.holder["token"])
        told(tmp_path, own)
        assert look(tmp_path).state == "running"
        assert look(tmp_path).status == own
    assert look(tmp_path).state == "none"
    told(tmp_path, replace(own, end=End(exit_code=0, message="complete")))
    assert look(tmp_path).state == "ended"


def test_the_processes_of_a_driver_that_is_gone_ended_with_it(tmp_path: Path) -> None:
    elsewhere = {**this_process(), "machine": "another", "epoch": 1}
    write_json_atomically(tmp_path / LEASE_FILE, elsewhere)
    told(tmp_path, replace(STATUS, driver=elsewhere["token"]))
    assert look(tmp_path).state == "running"
    long_ago = time.time() - 600
    os.utime(tmp_path / LEASE_FILE, (long_ago, long_ago))
    sight = look(tmp_path)
    assert sight.state == "gone"
    assert sight.heartbeat is not None
    assert sight.heartbeat.age_seconds == pytest.approx(600, abs=60)
    assert sight.status is not None
    assert sight.status.counts == {"ok": 2, "oom": 1, "pending": 1}
    assert sight.status.running == ()


def test_a_driver_tells_from_its_first_turn_to_its_end(tmp_path: Path) -> None:
    tasks = tasks_of(20, ("train", "evaluate"))
    simulation = Simulation(Outputs(tmp_path), tasks)
    simulation.run({task.job_id: 100.0 for task in tasks})
    _, early = simulation.seen[0]
    assert early.counts["ok"] + early.counts["running"] + early.counts["pending"] == 40
    assert 0 < early.counts["running"] <= early.slots == 16
    assert len(early.running) == early.counts["running"]
    last = read_status(tmp_path)
    assert last is not None
    assert last.end == End(exit_code=0, message="complete")
    assert {one.stage: dict(one.counts) for one in last.stages} == {
        "train": {"ok": 20},
        "evaluate": {"ok": 20},
    }
    assert last.device_seconds == pytest.approx(40 * 100.0)
    assert simulation.audience.notices == [("end", "complete")]


HOUR = 3600.0


def test_device_hours_of_all_drivers_are_bounded(tmp_path: Path) -> None:
    """Trainings of an hour on two GPUs each, 16 at once."""
    tasks = tasks_of(50, resources=Resources(gpus=2.0))
    seconds = {task.job_id: HOUR for task in tasks}
    simulation = Simulation(Outputs(tmp_path), tasks)
    end = simulation.run(seconds, budget=Budget(device_hours=33))
    # Of 32 device-hours, there is one left, and what was begun saves its state: here,
    # it ends.
    assert (end.exit_code, end.counts["ok"]) == (ExitCode.SWEEP_BUDGET_REACHED, 32)
    assert simulation.message == (
        "the budget of 33 device-hours is spent; 18 jobs are missing, about 36 "
        "device-hours"
    )
    again = simulation.run(seconds, budget=Budget(device_hours=33))
    assert (again.exit_code, again.started) == (ExitCode.SWEEP_BUDGET_REACHED, 0)
    by_status = spent_before(simulation.outputs, tasks)
    (tmp_path / STATUS_FILE).unlink()
    assert spent_before(simulation.outputs, tasks) == by_status == {"train": 64 * HOUR}
    end = simulation.run(seconds, budget=Budget(device_hours=200))
    assert (end.exit_code, end.counts["ok"]) == (ExitCode.OK, 50)


@pytest.mark.parametrize(
    ("resources", "devices"),
    [
        (Resources(cpus=8), 1.0),
        (Resources(gpus=0.5), 0.5),
        (Resources(gpus=4.0), 4.0),
        (Resources(custom=(("TPU", 8.0),)), 8.0),
        (Resources(custom=(("licence", 3.0),)), 1.0),
    ],
)
def test_devices_are_those_asked_for_or_one(resources, devices) -> None:
    assert resources.devices == devices


def test_a_budget_in_words() -> None:
    budget = Budget(hours=2.0, device_hours=10.0)
    assert budget.reached(HOUR, 9 * HOUR) is None
    assert budget.reached(2 * HOUR, 0.0) == "the budget of 2 h is spent"
    assert budget.reached(0.0, 10 * HOUR) == "the budget of 10 device-hours is spent"
    with pytest.raises(ConfigError, match=r"budget\.device_hours is positive; got 0"):
        Budget(device_hours=0.0)


def test_a_status_that_cannot_be_written_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Outputs(tmp_path / "file").post(tmp_path / "file" / STATUS_FILE, {})


class SlowStore(Store):
    """Writes when it is let."""

    def __init__(self) -> None:
        super().__init__("s3://bucket/out")
        self.let, self.written = threading.Event(), []

    def write(self, key: str, data: bytes) -> bytes:
        assert self.let.wait(60)
        self.written.append((key, data))
        return b"1"


def test_a_slow_store_holds_nobody_up(tmp_path: Path) -> None:
    store = SlowStore()
    outputs = StoredOutputs(store, tmp_path, tmp_path / "cache")
    path = outputs.folder / STATUS_FILE
    for number in range(3):  # the later ones are left out
        outputs.post(path, {"number": number})
    assert store.written == []
    store.let.set()
    outputs.post(path, {"number": 3}, wait_seconds=60)
    assert [key for key, _ in store.written] == [STATUS_FILE] * 2
    assert b'"number": 3' in store.written[-1][1]
    assert not path.exists()  # the copy gets it with the next look
