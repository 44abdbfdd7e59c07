"""The driver with real processes that fail in every way of the failure table."""

import itertools
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from sweep_lab import LIMITS, Lab, run

from launch.executors.cores import MachineLease
from launch.executors.local import LocalExecutor
from rdc.errors import ConfigError, ExitCode
from sweeps.budget import Budget
from sweeps.capacity import Resources
from sweeps.driver import Driver
from sweeps.lease import Lease

HANG_SECONDS = 300  # far beyond what any machine needs
SHORT_STALL = replace(LIMITS, stall_minutes=1 / 30)


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "lab")


def test_everything_runs_once_in_the_order_of_dependencies(lab):
    end = run(lab, ("train", "evaluate", "benchmark"))
    assert end.exit_code == ExitCode.OK
    assert end.counts == {"ok": 6}
    done = [line.split()[0] for line in lab.journal("done")]
    assert sorted(done) == sorted(["train", "evaluate", "benchmark"] * 2)
    assert done[-2:] == ["benchmark"] * 2
    affinity = [record.environment["affinity"] for record in lab.records()]
    assert affinity == [1, 1]


def test_finished_work_is_not_redone(lab):
    run(lab, ("train", "evaluate"))
    before = lab.journal()
    end = run(lab, ("train", "evaluate"))
    assert end.exit_code == ExitCode.OK
    assert end.started == 0
    assert lab.journal() == before


def test_benchmark_of_random_weights_needs_no_training(lab):
    end = run(lab, ("benchmark",), weights="random")
    assert end.counts == {"ok": 1}  # both runs share the architecture


def test_a_clock_that_is_set_meanwhile_changes_nothing(lab, monkeypatch):
    """By a day ahead, or back, whenever somebody looks at it."""
    real, steps = time.time, itertools.cycle([0.0, 86_400.0, -86_400.0])
    monkeypatch.setattr(time, "time", lambda: real() + next(steps))
    lab.faults({"train:0": ["killed", "preempted"], "evaluate": ["crash_a"]})
    options = {"limits": replace(SHORT_STALL, stall_minutes=HANG_SECONDS / 60)}
    end = lab.run(
        LocalExecutor(lab.settings),
        lab.tasks(("train", "evaluate"), timeout_hours=HANG_SECONDS / 3600),
        budget=Budget(hours=HANG_SECONDS / 3600),
        **options,
    )
    assert (end.exit_code, end.counts) == (ExitCode.OK, {"ok": 4})
    assert len(lab.journal("done")) == 4


@pytest.mark.parametrize("fault", ["killed", "preempted"])
def test_lost_and_preempted_attempts_are_repeated(lab, fault):
    lab.faults({"train:0": [fault] * 3})
    assert run(lab).exit_code == ExitCode.OK
    assert len(lab.journal("train 0 4 done")) == 1


@pytest.mark.parametrize(
    ("faults", "status", "attempts"),
    [
        (["oom"], "ok", 2),
        (["oom", "oom"], "oom", 2),
        (["diverged"], "ok", 2),
        (["diverged", "diverged"], "diverged", 2),
        (["crash_a"], "ok", 2),
        (["crash_a", "crash_b"], "ok", 3),
        (["crash_a", "crash_a"], "failed", 2),
        (["segfault", "segfault"], "failed", 2),
        (["no_record", "no_record"], "failed", 2),
        (["truncated"], "ok", 2),
        (["bad_input"], "failed", 1),
    ],
)
def test_each_failure_ends_as_the_table_says(lab, faults, status, attempts):
    lab.faults({"train:1": faults})
    end = run(lab)
    expected = "OK" if status == "ok" else "SWEEP_HAS_FAILED_RUNS"
    assert end.exit_code == ExitCode[expected]
    statuses = sorted(record.status for record in lab.records())
    assert statuses == sorted(["ok", status])
    assert len(lab.journal("train 1")) > 0
    begun = [line for line in lab.journal("begin") if line.startswith("train 1")]
    assert len(begun) == attempts


def test_out_of_memory_runs_again_in_micro_batches_and_says_so(lab):
    lab.faults({"train:0": ["oom"]})
    run(lab)
    assert lab.journal("train 0 1 begin") == ["train 0 1 begin oom micro=1"]
    assert lab.journal("train 0 2 begin") == ["train 0 2 begin ok micro=2"]


def test_a_process_that_hangs_is_ended_and_tried_once_more(tmp_path):
    lab = Lab(tmp_path / "lab", jobs=1)
    lab.faults({"train:0": ["hang", "hang"]})
    end = run(lab, timeout_hours=1.0 / 3600)
    assert end.exit_code == ExitCode.SWEEP_HAS_FAILED_RUNS
    assert end.counts == {"timeout": 1}
    assert end.started == 2


def test_a_failed_run_blocks_what_needs_it_and_nothing_else(lab):
    lab.faults({"train:0": ["bad_input"]})
    end = run(lab, ("train", "evaluate", "benchmark"))
    assert end.counts == {"ok": 3, "failed": 1, "blocked": 2}


def test_failed_runs_are_kept_and_retried_on_demand(lab):
    lab.faults({"train:0": ["crash_a", "crash_a", "crash_a"]})
    assert run(lab).exit_code == ExitCode.SWEEP_HAS_FAILED_RUNS
    again = run(lab)
    assert (again.exit_code, again.started) == (ExitCode.SWEEP_HAS_FAILED_RUNS, 0)
    # The third crash is the first of a clean history, so a fourth attempt follows.
    assert run(lab, retry_failed=True).exit_code == ExitCode.OK


@pytest.mark.parametrize("fault", ["crash_a", "bad_input"])
def test_failures_alike_stop_their_stage_at_any_time(tmp_path, fault):
    """Ids and folders in their texts differ; what succeeded before is no excuse."""
    lab = Lab(tmp_path / "lab", jobs=12)
    seeds = range(2, 12)
    lab.faults({f"train:{seed}": [fault, fault] for seed in seeds})
    end = run(lab, ("train", "evaluate"))
    assert end.exit_code == ExitCode.SWEEP_HAS_FAILED_RUNS
    assert "stage train stopped: 3 jobs failed alike" in end.message
    assert fault in end.message
    assert len(lab.journal(f"begin {fault}")) < len(seeds)
    assert end.counts["ok"] == 4  # two trainings, and their evaluations
    assert end.counts["pending"] > 0
    lab.faults({})
    again = run(lab, ("train", "evaluate"), retry_failed=True)
    assert (again.exit_code, again.counts) == (ExitCode.OK, {"ok": 24})


@pytest.mark.parametrize("fault", ["segfault_at_exit", "killed_at_exit"])
def test_a_sound_record_counts_whatever_becomes_of_its_process(lab, fault):
    lab.faults({"train:0": [fault]})
    end = run(lab, ("train", "evaluate"))
    assert (end.exit_code, end.started) == (ExitCode.OK, 4)
    codes = sorted(record.exit_code for record in lab.records())
    assert codes == [-11 if fault == "segfault_at_exit" else -9, 0]


def test_a_training_that_stands_still_goes_on_in_a_new_process(tmp_path):
    lab = Lab(tmp_path / "lab", jobs=1)
    lab.faults({"train:0": ["stall", "stall"]})
    end = run(lab, limits=SHORT_STALL)
    assert (end.exit_code, end.started) == (ExitCode.OK, 3)
    assert lab.journal(" step ")[0] == "train 0 3 step 1"
    assert [*lab.out.glob("runs/*/*/attempts/*/checkpoint/*")] == []  # it is done


def test_a_forgiven_training_goes_on_from_its_checkpoint(tmp_path):
    lab = Lab(tmp_path / "lab", jobs=1, steps=4)
    lab.faults({"train:0": ["stall", "bad_input"]})
    assert run(lab, limits=SHORT_STALL).exit_code == ExitCode.SWEEP_HAS_FAILED_RUNS
    assert run(lab, retry_failed=True).exit_code == ExitCode.OK
    assert lab.journal(" step ")[0] == "train 0 3 step 1"


def test_nothing_goes_on_from_a_forgiven_divergence(tmp_path):
    lab = Lab(tmp_path / "lab", jobs=1, steps=4)
    lab.faults({"train:0": ["stall", "diverged", "diverged"]})
    assert run(lab, limits=SHORT_STALL).exit_code == ExitCode.SWEEP_HAS_FAILED_RUNS
    assert run(lab, retry_failed=True).exit_code == ExitCode.OK
    assert lab.journal(" step ")[0] == "train 0 4 step 0"


def test_the_budget_ends_the_sweep_with_its_state_kept(tmp_path):
    lab = Lab(tmp_path / "lab", jobs=2, steps=5)
    lab.hold(3)  # nothing can end before the budget does
    end = run(lab, budget=Budget(hours=0.8 / 3600))
    assert end.exit_code == ExitCode.SWEEP_BUDGET_REACHED
    lab.hold(None)
    assert run(lab).exit_code == ExitCode.OK
    assert set(lab.steps_done().values()) == {1}  # every step once, over both drivers


class Impatient:
    """Asks the driver to stop as soon as something was written in the journal."""

    def __init__(self, lab: Lab, *events: str):
        self.lab, self.events = lab, events

    def started(self, running) -> None: ...

    def ended(self, task, ended, action) -> None: ...

    def tick(self, driver: Driver) -> None:
        if all(self.lab.journal(event) for event in self.events):
            driver.request_stop()


def test_a_request_to_stop_saves_state_and_exits_130(tmp_path):
    lab = Lab(tmp_path / "lab", jobs=2, steps=5)
    lab.hold(3)
    observer = Impatient(lab, "train 0 1 step 2", "train 1 1 step 2")
    end = run(lab, observer=observer)
    assert end.exit_code == ExitCode.INTERRUPTED
    assert len(lab.journal("stopped")) == 2


def test_a_timing_waits_for_another_sweep_and_stops_when_asked(lab):
    """The other one is a training of this user on this machine."""
    other = MachineLease(Resources(), lab.settings.locks)
    assert other.acquire()
    run(lab, ("train", "evaluate"))
    stages = ("train", "evaluate", "benchmark")

    class Patient(Impatient):
        ticks = 0

        def tick(self, driver: Driver) -> None:
            self.ticks += 1
            if self.ticks == 5:
                assert driver.running
                assert lab.journal("benchmark") == []
                self.act(driver)

        def act(self, driver: Driver) -> None:
            driver.request_stop()

    class Helpful(Patient):
        def act(self, driver: Driver) -> None:
            other.release()

    end = run(lab, stages, observer=Patient(lab))
    assert end.exit_code == ExitCode.INTERRUPTED
    assert lab.journal("benchmark") == []
    end = run(lab, stages, observer=Helpful(lab))
    assert end.exit_code == ExitCode.OK
    assert len(lab.journal("benchmark")) > 0


def test_a_job_that_wants_more_gpus_than_there_are_is_refused_before_anything_runs(lab):
    for gpus in (0, 1):
        with pytest.raises(ConfigError, match=rf"gpus is at most {gpus} here; got 2"):
            lab.run(LocalExecutor(lab.settings, gpus), lab.tasks(gpus=2.0))
    assert lab.journal() == []


def test_two_halves_of_a_gpu_train_at_once(lab):
    lab.hold(1)
    events = ("train 0 1 step 0", "train 1 1 step 0")
    executor, tasks = LocalExecutor(lab.settings, gpus=1), lab.tasks(gpus=0.5)

    class Releasing(Impatient):
        def tick(self, driver: Driver) -> None:
            if all(lab.journal(event) for event in self.events):
                lab.hold(None)

    end = lab.run(executor, tasks, observer=Releasing(lab, *events))
    assert end.counts == {"ok": 2}


def test_a_second_driver_is_refused(lab):
    with (
        Lease(lab.out),
        pytest.raises(ConfigError, match="one driver at a time"),
        Lease(lab.out),
    ):
        pass
    assert run(lab).exit_code == ExitCode.OK


DRIVER = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from launch.executors.local import LocalExecutor
from sweep_lab import Lab
lab = Lab(Path({folder!r}), jobs=3, steps=8)
end = lab.run(LocalExecutor(lab.settings), lab.tasks(("train", "evaluate")))
print(end.message)
"""


def kill_with_children(driver: subprocess.Popen) -> None:
    """Kills the driver alone and waits until its workers are gone, too."""
    driver.send_signal(signal.SIGSTOP)  # so that it starts nothing after the list
    workers = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    _, alive = psutil.wait_procs(workers, timeout=HANG_SECONDS)
    assert not alive, "the workers outlived their driver"


@pytest.mark.parametrize(
    "moment", ["train 0 1 begin", "step 3", "train 0 1 done", "evaluate", "train 2"]
)
def test_a_killed_driver_leaves_nothing_to_repeat(tmp_path, moment):
    lab = Lab(tmp_path / "lab", jobs=3, steps=8)
    here = str(Path(__file__).parent)
    script = DRIVER.format(here=here, folder=str(lab.folder))
    driver = subprocess.Popen([sys.executable, "-c", script])
    while not lab.journal(moment):
        assert driver.poll() is None
        time.sleep(0.005)
    kill_with_children(driver)
    end = lab.run(LocalExecutor(lab.settings), lab.tasks(("train", "evaluate")))
    assert end.exit_code == ExitCode.OK
    assert end.counts == {"ok": 6}
    # A worker that was killed between its record and its last word is done, too.
    finished = [tuple(line.split()[:2]) for line in lab.journal("done")]
    assert len(finished) == len(set(finished)) >= 5
    # A step runs again only if its process was killed before the checkpoint of it.
    repeated = [count for count in lab.steps_done().values() if count > 1]
    assert len(repeated) <= 2
    assert len(lab.steps_done()) == 24
