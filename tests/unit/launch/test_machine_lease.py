"""Timings have the machine to themselves, between processes that know nothing of each
other."""

import subprocess
import sys
import time

import pytest

from launch.executors.child import WAITS, Child, ChildSettings
from launch.executors.cores import MachineLease, usable_cores
from sweeps.capacity import Resources
from sweeps.executor import Attempt

TIMING = Resources(cpus=None, exclusive=True)
HANG_SECONDS = 120  # far beyond what any machine needs

# Another sweep's process: holds what it is told to until its input ends.
HOLDER = """
import sys
from pathlib import Path
from launch.executors.cores import MachineLease
from sweeps.capacity import Resources
exclusive = sys.argv[2] == "timing"
wanted = Resources(cpus=None if exclusive else 1, exclusive=exclusive)
lease = MachineLease(wanted, Path(sys.argv[1]))
assert lease.acquire()
print("held", flush=True)
sys.stdin.read()
"""


class Other:
    """That process."""

    def __init__(self, folder, kind: str):
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout.readline() == b"held\n"

    def end(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def other(tmp_path):
    started = []

    def start(kind: str) -> Other:
        started.append(Other(tmp_path, kind))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def lease(folder, wanted: Resources) -> MachineLease:
    return MachineLease(wanted, folder)


def test_a_timing_waits_for_jobs_of_other_processes_and_then_keeps_them_out(
    tmp_path, other
):
    training = other("training")
    timing, later = lease(tmp_path, TIMING), lease(tmp_path, Resources())
    assert not timing.acquire()
    assert not later.acquire(), "a job overtook the timing that waits"
    training.end()
    assert timing.acquire()
    assert not later.acquire()
    timing.release()
    assert later.acquire()
    later.release()


def test_jobs_wait_for_the_timing_of_another_process_or_its_death(tmp_path, other):
    timing = other("timing")
    training, second = lease(tmp_path, Resources()), lease(tmp_path, TIMING)
    assert not training.acquire()
    assert not second.acquire()
    second.release()
    timing.kill()
    assert training.acquire()
    training.release()


def test_jobs_share_the_machine_and_each_has_cores_of_its_own(tmp_path, other):
    training = other("training")
    mine, whole = lease(tmp_path, Resources()), lease(tmp_path, Resources(cpus=None))
    assert mine.acquire()
    assert whole.acquire()  # all cores, yet no timing
    assert whole.cores == []
    if len(usable_cores()) > 1:
        assert len(mine.cores) == 1
        assert not set(mine.cores) - set(usable_cores())
    for held in (mine, whole):
        held.release()
    training.end()


def child(folder, seconds: float, code: str, timeout: float | None = None) -> Child:
    attempt = Attempt("job", 1, folder / "attempt", TIMING, timeout)
    attempt.folder.mkdir()
    command = (sys.executable, "-c", f"import time; time.sleep({seconds}); {code}")
    return Child(attempt, ChildSettings(command, locks=folder))


def ended(process: Child):
    deadline = time.monotonic() + HANG_SECONDS
    while (end := process.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return end


def test_a_child_that_waits_starts_by_itself_and_no_limit_counts_meanwhile(
    tmp_path, other
):
    training = other("training")
    process = child(tmp_path, 0, "print('timed')", timeout=HANG_SECONDS)
    log = tmp_path / "attempt" / "log.txt"
    time.sleep(0.3)
    assert process.poll() is None
    assert log.read_text() == WAITS
    training.end()
    asked = time.monotonic()
    end = ended(process)
    assert (end.exit_code, end.timed_out) == (0, False)
    assert end.seconds <= time.monotonic() - asked
    assert log.read_text() == WAITS + "timed\n"


def test_a_child_that_waits_ends_at_once_when_asked_to(tmp_path, other):
    other("training")
    process = child(tmp_path, HANG_SECONDS, "")
    assert process.poll() is None
    process.stop(grace_seconds=HANG_SECONDS)
    end = process.poll()
    assert end is not None
    assert end.exit_code == -15
    # Nothing is kept: what comes later need not wait for this timing.
    later = lease(tmp_path, Resources())
    assert later.acquire()
    later.release()
