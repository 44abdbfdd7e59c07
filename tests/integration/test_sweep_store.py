"""A sweep whose OUT is an object store: nothing but the store is shared.

Jobs work on scratch, the driver reads a copy, and both can be lost at any time.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sweep_lab import Lab, Silent, run

from launch.executors.local import LocalExecutor
from launch.executors.ray_executor import RayExecutor
from rdc.errors import ConfigError, ExitCode, StorageError
from rdc.system.files import read_json
from rdc.system.store import Store
from sweeps.driver import Driver
from sweeps.lease import LeaseLostError
from sweeps.store_lease import StoreLease
from sweeps.stored_outputs import StoredOutputs

pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")


@pytest.fixture
def store(s3, tmp_path):
    return Store(f"s3://bucket/{tmp_path.name}")


@pytest.fixture
def lab(store, tmp_path):
    return lab_on(store, tmp_path, "first")


def lab_on(store: Store, folder: Path, machine: str, **options) -> Lab:
    """A driver's machine: it shares nothing with another but the store. (Faults and the
    journal are the test's, not the sweep's.)"""
    outputs = StoredOutputs(store, folder / machine / "scratch", folder / machine)
    return Lab(folder / "lab", outputs=outputs, **options)


def scratch_files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*/scratch/**/*") if path.is_file()]


def keys(store: Store, name: str) -> list[str]:
    return [key for key in store.list() if key.endswith(name)]


def test_a_sweep_with_failures_of_every_kind(lab, store, tmp_path):
    lab.faults(
        {"train:0": ["crash_a", "killed", "oom"], "train:1": ["preempted", "full"]}
    )
    end = run(lab, ("train", "evaluate", "benchmark"))
    assert end.exit_code == ExitCode.BAD_INPUT  # of scratch, on the only machine
    assert "Free some space" in end.message
    end = run(lab, ("train", "evaluate", "benchmark"))
    assert (end.exit_code, end.counts) == (ExitCode.OK, {"ok": 6})
    assert len(lab.journal("done")) == 6
    assert scratch_files(tmp_path) == []
    # All of it is in the store, and checkpoints of finished trainings are not.
    assert len([k for k in keys(store, "record.json") if "attempts" not in k]) == 6
    assert keys(store, "state.tar") == keys(store, "manifest.json") == []


def test_another_machine_finds_everything_finished(lab, store, tmp_path):
    stages = ("train", "evaluate", "benchmark")
    assert run(lab, stages).exit_code == ExitCode.OK
    other = lab_on(store, tmp_path, "second")
    end = run(other, stages)
    assert (end.exit_code, end.started) == (ExitCode.OK, 0)
    first, second = (
        {p.relative_to(one.out): p.read_bytes() for p in one.out.rglob("record.json")}
        for one in (lab, other)
    )
    promoted = {path for path in first if "attempts" not in path.parts}
    assert promoted <= set(second)
    assert all(first[path] == second[path] for path in promoted)


def test_trainings_go_on_from_checkpoints_in_the_store(store, tmp_path):
    """Stopped on one machine, and gone on with on another."""
    lab = lab_on(store, tmp_path, "first", steps=6)
    lab.hold(3)
    driver = lab_driver(lab)
    stopper = threading.Thread(target=stop_at_step, args=(lab, driver, 3))
    stopper.start()
    end = lab.run_driver(driver)
    stopper.join()
    assert end.exit_code == ExitCode.INTERRUPTED
    assert len(keys(store, "manifest.json")) >= 2
    shutil.rmtree(tmp_path / "first")
    lab.hold(None)
    other = lab_on(store, tmp_path, "second", steps=6)
    end = run(other)
    assert (end.exit_code, end.counts) == (ExitCode.OK, {"ok": 2})
    assert set(other.steps_done().values()) == {1}, "no step is done twice"
    assert len(other.steps_done()) == 12


def lab_driver(lab: Lab) -> Driver:
    return lab.driver(LocalExecutor(lab.settings), lab.tasks())


def stop_at_step(lab: Lab, driver: Driver, step: int) -> None:
    while len(lab.journal(f"step {step - 1}")) < 2:
        time.sleep(0.01)
    driver.request_stop()


def test_a_damaged_checkpoint_is_left_out(store, tmp_path):
    lab = lab_on(store, tmp_path, "first", steps=6)
    lab.faults({"train:0": ["stall"], "train:1": ["ok"]})
    lab.hold(0)
    driver = lab_driver(lab)
    stopper = threading.Thread(target=stop_when, args=(driver, store))
    stopper.start()
    lab.run_driver(driver)
    stopper.join()
    job_id = lab.tasks()[0].job_id
    (state,) = [key for key in keys(store, "state.tar") if job_id in key]
    whole = store.read(state)
    assert whole is not None
    store.write(state, whole.data[:100])
    lab.hold(None)
    assert run(lab).exit_code == ExitCode.OK
    assert lab.steps_done()["0 0"] == 1, "from the first step"


def stop_when(driver: Driver, store: Store) -> None:
    while not keys(store, "manifest.json"):
        time.sleep(0.05)
    driver.request_stop()


def test_of_finished_jobs_only_the_record_is_asked_for_again(lab, s3):
    assert run(lab).counts == {"ok": 2}
    lab.outputs.refresh()  # as for tables and report
    asked: list[str] = []
    s3.before = lambda number, method, path: asked.append(path)
    lab.outputs.refresh(again=False)  # as when a sweep opens OUT
    assert [path for path in asked if "list-type" not in path] == []
    lab.outputs.refresh()
    objects = [path for path in asked if "list-type" not in path]
    assert len(objects) == 2
    assert all(re.search(r"/runs/\w\w/\w+/record.json$", path) for path in objects)


def test_what_is_written_meanwhile_is_there_in_the_end(store, s3, tmp_path):
    lab = lab_on(store, tmp_path, "first", jobs=1)
    refused = []

    def fails(number, method, path):
        if method == "PUT" and path.endswith("/spec.json") and len(refused) < 6:
            refused.append(path)
            return 500
        return None

    s3.before = fails
    assert run(lab).counts == {"ok": 1}
    assert len(refused) == 6
    [spec] = [key for key in keys(store, "spec.json") if "attempts" not in key]
    assert store.read(spec).data == (lab.out / spec).read_bytes()


def test_a_store_that_fails_now_and_then_ends_nothing(lab, s3):
    s3.before = lambda number, *_: 503 if number % 5 == 0 else None
    end = run(lab, ("train", "evaluate"))
    assert (end.exit_code, end.counts) == (ExitCode.OK, {"ok": 4})
    assert len(lab.journal("begin")) == 4, "no failure counts as a job's"


def test_a_store_that_is_down_for_a_while_is_waited_for(lab, s3):
    """It goes when trainings are at work, and comes back."""
    down_until = []

    def before(*_: object) -> int | None:
        if not down_until and lab.journal("step 1"):
            down_until.append(time.monotonic() + 5)
        return 503 if down_until and time.monotonic() < down_until[0] else None

    s3.before = before
    end = run(lab, ("train", "evaluate"))
    assert down_until
    assert (end.exit_code, end.counts) == (ExitCode.OK, {"ok": 4})
    assert len(lab.journal("begin")) == 4


def test_a_second_driver_is_refused_while_the_first_lives(store, s3):
    with StoreLease(store, heartbeat_seconds=0.1) as first:
        other = StoreLease(store, wait_seconds=60)
        with pytest.raises(ConfigError, match="one driver at a time"), other:
            pass
        first.check()
    with StoreLease(store) as next_one:
        assert next_one.epoch == first.epoch + 1


def test_the_lease_of_a_dead_driver_elsewhere_is_waited_for(store, monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("sweeps.lease._machine", lambda: "another machine")
        frozen = StoreLease(store, heartbeat_seconds=3600)
        frozen.__enter__()
    with StoreLease(store, stale_seconds=1.5, wait_seconds=60) as lease:
        assert lease.epoch == 2
        with pytest.raises(LeaseLostError), frozen.held():
            pass
        with pytest.raises(LeaseLostError):
            frozen.check()
    frozen.__exit__(None, None, None)
    assert read_lease(store)["epoch"] == 2, "who lost it does not change it"


def test_who_learns_of_its_loss_by_a_heartbeat_leaves_the_lease_alone(store):
    first = StoreLease(store, heartbeat_seconds=0.05)
    with first:
        store.write("driver.json", json.dumps({"token": "another's"}).encode())
        while not first._lost:
            time.sleep(0.01)
    assert read_lease(store) == {"token": "another's"}


def test_a_live_driver_elsewhere_is_not_taken_from(store, monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("sweeps.lease._machine", lambda: "another machine")
        lease = StoreLease(store, heartbeat_seconds=0.2)
        lease.__enter__()
    with (
        pytest.raises(ConfigError, match="one driver at a time"),
        StoreLease(store, stale_seconds=30, wait_seconds=60),
    ):
        pass
    lease.__exit__(None, None, None)


def read_lease(store: Store) -> dict:
    found = store.read("driver.json")
    assert found is not None
    return json.loads(found.data)


def test_a_frozen_driver_promotes_nothing_over_its_successor(lab, store, tmp_path):
    """Even between its look at the lease and its write."""
    assert run(lab).exit_code == ExitCode.OK
    other = lab_on(store, tmp_path, "second")
    other.outputs.refresh()
    path = next(p for p in lab.out.rglob("record.json") if "attempts" not in p.parts)
    same = other.out / path.relative_to(lab.out)
    other.outputs.write_json(same, {**read_json(same), "epoch": 7})
    with pytest.raises(StorageError, match="written by another"):
        lab.outputs.write_json(path, {**read_json(path), "epoch": 1})


def test_two_drivers_never_get_one_attempt(lab, store, tmp_path):
    other = lab_on(store, tmp_path, "second")
    task = lab.tasks()[0]
    board = lab_driver(lab).board
    assert board.folder(task.job_id).begin(task.job, task.request)[0] == 1
    folder = lab_driver(other).board.folder(task.job_id)
    with pytest.raises(StorageError, match="begun by another"):
        folder.begin(task.job, task.request)
    assert folder.begin(task.job, task.request)[0] == 2


def saved_trainings(store: Store) -> int:
    """How many have a checkpoint in the store."""
    return len({key.split("/")[2] for key in keys(store, "manifest.json")})


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from rdc.system.store import Store
from test_sweep_store import lab_on, run
run(lab_on(Store({url!r}), Path({folder!r}), "first", steps=40))
"""


def test_a_killed_driver_takes_its_jobs_along_and_another_machine_goes_on(
    store, tmp_path
):
    lab = lab_on(store, tmp_path, "second", steps=40)
    lab.hold(20)
    program = KILLED.format(
        tests=str(Path(__file__).parent), url=store.url, folder=str(tmp_path)
    )
    process = subprocess.Popen([sys.executable, "-c", program], env=dict(os.environ))
    while saved_trainings(store) < 2 or len(lab.journal("step 19")) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    lab.hold(None)
    assert run(lab).exit_code == ExitCode.OK
    done = lab.steps_done()
    assert len(done) == 80
    # From checkpoints: at most what was done since the last one came to the store.
    assert sum(done.values()) < 80 + 40
    assert not lab.journal(" 2 step 0")


def test_on_ray_over_a_store(lab, store, tmp_path):
    lab.faults({"train:0": ["crash_a", "killed"], "train:1": ["preempted"]})
    tasks = lab.tasks(("train", "evaluate"))
    end = lab.run(RayExecutor(lab.settings, num_cpus=2), tasks)
    assert (end.exit_code, end.counts) == (ExitCode.OK, {"ok": 4})
    assert scratch_files(tmp_path) == []


class StopsAtOnce(Silent):
    def tick(self, driver: Driver) -> None:
        if len(driver.running) == 2:
            driver.request_stop()


def test_a_stop_on_ray_saves_states_in_the_store(store, tmp_path):
    lab = lab_on(store, tmp_path, "first", steps=50)
    lab.hold(10)
    executor = RayExecutor(lab.settings, num_cpus=2)
    end = lab.run(executor, lab.tasks(), observer=StopsAtOnce())
    assert end.exit_code == ExitCode.INTERRUPTED
    begun = lab.journal("begin")
    assert len(lab.journal("stopped")) == len(begun)
    assert saved_trainings(store) == len(begun)
