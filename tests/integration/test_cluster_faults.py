"""Faults of a cluster that take minutes each: `make bench`.

Transitions of a job at which the driver is killed, of those that need other machines
(the others: `test_sweep_faults.py`):

    submitted, and no node has it       somebody else's work holds the cluster
    running on a remote node            in `test_cluster.py`
    record at home, not promoted        the request that promotes it is on its way
"""

import json
import signal
import sys
import threading
import time

import psutil
import pytest
from cluster_hosts import HANG_SECONDS, wait_until
from cluster_sweeps import SAVED, attempt_key, resume
from stores import NO_ANSWER

from rdc.errors import ExitCode
from rdc.jobs.layout import CHECKPOINT_FOLDER, LOG_FILE, RECORD_FILE
from rdc.jobs.parcel import MANIFEST_FILE

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

HOG = """
import ray, time
ray.init("{address}")
work = ray.remote(num_cpus=1)(lambda: print("held", flush=True) or time.sleep(3600))
ray.get([work.remote() for _ in range(4)])
"""


@pytest.fixture
def begun():
    """Prints what happened, and when."""
    began = time.monotonic()
    return lambda what: print(f"{time.monotonic() - began:6.0f} s {what}", flush=True)


def unchanged(sweep, finished, attempts):
    after = sweep.attempts()
    assert {job: after[job] for job in finished} == {
        job: attempts[job] for job in finished
    }, "no finished job starts again"


def test_killed_while_attempts_wait_for_a_node(cluster_lab, undisturbed_sweep, begun):
    sweep = cluster_lab.sweep("waiting")
    driver = sweep.start()
    held = sweep.hold(4)
    hog = cluster_lab.cluster.head.start(
        [sys.executable, "-c", HOG.format(address=sweep.cluster.address)],
        sweep.cluster.logs / "hog.txt",
    )
    wait_until(lambda: hog.text().count("Connected"), "somebody else's work")
    resume(held)

    def waiting() -> list[str]:
        here = {attempt_key(folder) for _, _, folder in sweep.jobs()}
        known = {
            f"{job}/attempts/{numbers[-1]}" for job, numbers in sweep.attempts().items()
        }
        return sorted(
            key for key in known - here if sweep.store.read(f"{key}/{LOG_FILE}") is None
        )

    wait_until(lambda: not sweep.jobs() and len(waiting()) == 4, "four that wait")
    begun("four attempts wait")
    driver.kill()
    time.sleep(5)
    hog.kill()
    never = waiting()
    finished, attempts = sweep.records(), sweep.attempts()
    sweep.run()
    sweep.assert_ended_like(undisturbed_sweep)
    unchanged(sweep, finished, attempts)
    for key in never:
        assert sweep.store.read(f"{key}/{LOG_FILE}") is None, "nobody began it"
        assert sweep.attempts()[key.split("/attempts/")[0]] == [1, 2]
    begun("the same command ended")


def test_killed_between_a_record_and_its_promotion(
    cluster_lab, undisturbed_sweep, begun
):
    sweep = cluster_lab.sweep("promotion")
    asked, dead = threading.Event(), threading.Event()
    promoted: list[str] = []

    def before(number: int, method: str, path: str) -> int | None:
        own = (
            path.split("?")[0].endswith(f"/{RECORD_FILE}") and "/attempts/" not in path
        )
        if method != "PUT" or not own or dead.is_set():
            return None
        promoted.append(path)
        asked.set()
        dead.wait(HANG_SECONDS)
        return NO_ANSWER

    cluster_lab.proxy.before = before
    driver = sweep.start()
    assert asked.wait(HANG_SECONDS)
    driver.kill()
    dead.set()
    job = "/".join(promoted[0].split("?")[0].split("/")[-4:-1])
    assert job not in sweep.records()
    assert sweep.read(f"{job}/attempts/1/{RECORD_FILE}")["status"] == "ok"
    begun(f"killed before {promoted[0]} was written")
    sweep.run()
    assert sweep.attempts()[job] == [1], "its record is taken as it is"
    sweep.assert_ended_like(undisturbed_sweep)
    begun("the same command ended")


def test_a_cut_manifest_and_a_segmentation_fault_at_exit(
    cluster_lab, undisturbed_sweep, begun
):
    sweep = cluster_lab.sweep("segfault")
    driver = sweep.start()
    [held] = sweep.hold()
    key = f"{held.attempt}/{CHECKPOINT_FOLDER}/{SAVED}/{MANIFEST_FILE}"
    whole = sweep.store.read(key)
    sweep.store.write(key, whole.data[:20])
    held.process.kill()

    def died_after_its_record() -> bool:
        for _, process, folder in sweep.jobs():
            record = f"/proc/{process.pid}/root{folder}/{RECORD_FILE}"
            try:
                with open(record):
                    process.send_signal(signal.SIGSEGV)
                return True
            except (OSError, psutil.Error):
                continue
        return False

    wait_until(died_after_its_record, "a record of a process that lives", pause=0.003)
    begun("segmentation fault")
    assert driver.wait() == ExitCode.OK, driver.text()
    begun("ended")
    sweep.assert_ended_like(undisturbed_sweep)
    again = {job for job, numbers in sweep.attempts().items() if len(numbers) > 1}
    assert again == {f"runs/{held.job_id[:2]}/{held.job_id}"}
    record = sweep.records()[again.pop()]
    assert record["result"]["resumed_from_step"] == 0
    assert record["result"]["restarted_because"]


def test_a_host_that_was_cut_off_comes_back(cluster_lab, undisturbed_sweep, begun):
    """Its attempt ends after its successor began, and changes nothing."""
    sweep = cluster_lab.sweep("zombie")
    driver = sweep.start()
    [zombie] = sweep.hold()
    zombie.host.cut_off()
    begun("cut off")
    wait_until(lambda: "lost with its node" in driver.text(), "word of the lost node")
    begun("its attempt was given to others")
    job = zombie.attempt.split("/attempts/")[0]
    successor = wait_until(
        lambda: [
            process
            for _, process, folder in sweep.jobs()
            if f"{job}/attempts/2" in str(folder)
        ],
        "the second attempt",
    )
    successor[0].suspend()
    resume([zombie])
    time.sleep(5)
    zombie.host.come_back()
    begun("it came back")
    time.sleep(30)
    late = sweep.store.read(f"{zombie.attempt}/{RECORD_FILE}") is not None
    begun(f"its record {'came late' if late else 'never came'}")
    successor[0].resume()
    assert driver.wait() == ExitCode.OK, driver.text()
    record = sweep.records()[job]
    assert (record["attempt"], record["result"]["resumed_from_step"]) == (2, SAVED)
    sweep.assert_ended_like(undisturbed_sweep)
    sweep.assert_again_starts_nothing()
    begun("ended")
    sweep.cluster.remove(zombie.host)


def test_a_frozen_driver_wakes_up(cluster_lab, undisturbed_sweep, begun):
    """Longer than the lease; another host's driver has taken over by then, whose jobs
    wait: Ray keeps the cores of the cluster for the frozen one.
    """
    sweep = cluster_lab.sweep("frozen")
    first = sweep.start()
    held = sweep.hold(2)
    first.send(signal.SIGSTOP)
    second = sweep.start(host=sweep.cluster.workers[0])
    begun("frozen")

    def epoch() -> int:
        return json.loads(sweep.store.read("driver.json").data)["epoch"]

    wait_until(lambda: epoch() == 2, "its successor")
    begun("another took over")
    resume(held)
    time.sleep(20)
    began = sum(map(len, sweep.attempts().values()))
    first.send(signal.SIGCONT)
    assert first.wait() == ExitCode.BAD_INPUT, first.text()
    assert "another driver took over" in first.text()
    begun(f"{began} attempts were begun when it went on")
    begun(f"it ended: {first.text().splitlines()[-1]}")
    assert second.wait() == ExitCode.OK, second.text()
    epochs = {record["epoch"] for record in sweep.records().values()}
    begun(f"its successor ended; epochs {epochs}")
    sweep.assert_ended_like(undisturbed_sweep)
    sweep.assert_again_starts_nothing()


def again_until_complete(sweep, driver, begun) -> None:
    """The same command after each pause."""
    while (code := driver.wait(1800)) != ExitCode.OK:
        assert code == ExitCode.DISK_FULL, driver.text()
        begun(f"paused: {driver.text().splitlines()[-1]}")
        driver = sweep.start()


def test_a_store_that_is_down_for_a_minute(cluster_lab, undisturbed_sweep, begun):
    sweep = cluster_lab.sweep("down")
    driver = sweep.start()
    held = sweep.hold(2)
    up = time.monotonic() + 60
    cluster_lab.proxy.before = lambda *_: NO_ANSWER if time.monotonic() < up else None
    resume(held)
    begun("down")
    finished, attempts = sweep.records(), sweep.attempts()
    again_until_complete(sweep, driver, begun)
    begun("ended")
    unchanged(sweep, finished, attempts)
    sweep.assert_ended_like(undisturbed_sweep)


def test_a_store_that_is_full(cluster_lab, undisturbed_sweep, begun):
    """It reads and refuses to write, until the driver pauses: jobs at their end wait
    for the store for ten minutes, and the driver hears of it only then.
    """
    sweep = cluster_lab.sweep("full")
    driver = sweep.start()
    held = sweep.hold(2)
    cluster_lab.proxy.before = lambda _, method, __: 507 if method == "PUT" else None
    resume(held)
    begun("full")
    assert driver.wait(3000) == ExitCode.DISK_FULL, driver.text()
    begun(f"paused: {driver.text().splitlines()[-1]}")
    cluster_lab.mend()
    finished, attempts = sweep.records(), sweep.attempts()
    sweep.run()
    begun("ended")
    unchanged(sweep, finished, attempts)
    sweep.assert_ended_like(undisturbed_sweep)


def test_a_store_whose_every_answer_takes_two_seconds(
    cluster_lab, undisturbed_sweep, begun
):
    sweep = cluster_lab.sweep("slow")
    cluster_lab.proxy.before = lambda *_: time.sleep(2)
    sweep.run(seconds=3000)
    begun("ended")
    assert set(map(len, sweep.attempts().values())) == {1}
    sweep.assert_ended_like(undisturbed_sweep)
