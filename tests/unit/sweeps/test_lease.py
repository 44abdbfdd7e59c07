"""One driver per OUT, over crashes, machines and lost heartbeats."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from rdc.errors import ConfigError
from rdc.system.files import read_json, write_json_atomically
from sweeps.lease import LEASE_FILE, STALE_SECONDS, Lease, LeaseLostError

HOLDER = """
import sys, time
from pathlib import Path
from sweeps.lease import Lease
with Lease(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other_driver(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def take(out):
    with Lease(out):
        pass


def test_a_living_driver_keeps_others_out(tmp_path, other_driver):
    with pytest.raises(ConfigError, match=f"process {other_driver.pid} on"):
        take(tmp_path)


@pytest.mark.parametrize("step", [86_400.0, -86_400.0])
def test_a_clock_that_was_set_frees_no_lease(tmp_path, other_driver, monkeypatch, step):
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + step)
    with pytest.raises(ConfigError, match=f"process {other_driver.pid} on"):
        take(tmp_path)


def test_a_killed_driver_is_taken_over_at_once(tmp_path, other_driver):
    other_driver.kill()
    other_driver.wait()
    take(tmp_path)
    assert (tmp_path / LEASE_FILE).stat().st_mtime == 0  # released


def test_a_pid_of_a_later_process_is_no_driver(tmp_path, other_driver):
    holder = read_json(tmp_path / LEASE_FILE)
    write_json_atomically(tmp_path / LEASE_FILE, {**holder, "started_ticks": 1})
    take(tmp_path)


@pytest.fixture
def far_driver(tmp_path):
    """Of another machine, where nobody here sees whether it lives."""
    holder = {"pid": 1, "host": "far", "machine": "x", "token": "t", "epoch": 4}
    write_json_atomically(tmp_path / LEASE_FILE, holder)
    return holder


@pytest.mark.parametrize(("age", "free"), [(1, False), (STALE_SECONDS + 1, True)])
def test_a_driver_on_another_machine_counts_until_its_heartbeat_is_stale(
    tmp_path, far_driver, age, free
):
    path = tmp_path / LEASE_FILE
    os.utime(path, (time.time() - age, time.time() - age))
    if free:
        with Lease(tmp_path, wait_seconds=0) as lease:
            assert lease.epoch == 5
    else:
        with (
            pytest.raises(ConfigError, match="process 1 on far"),
            Lease(tmp_path, wait_seconds=0),
        ):
            pass
        assert read_json(path) == far_driver


def test_a_new_driver_waits_until_a_dead_ones_heartbeat_is_stale(
    tmp_path, far_driver, caplog
):
    """A pod that was replaced left its lease behind two seconds ago, less a minute."""
    path = tmp_path / LEASE_FILE
    died = time.time() - STALE_SECONDS + 2
    os.utime(path, (died, died))
    with Lease(tmp_path, wait_seconds=600) as lease:
        assert lease.epoch == 5
    (line,) = caplog.messages
    assert "waiting up to 600 s" in line


def test_a_heartbeat_while_another_waits_is_a_living_driver(tmp_path, far_driver):
    beats = threading.Timer(1.5, os.utime, [tmp_path / LEASE_FILE])
    beats.start()
    with pytest.raises(ConfigError, match="one driver at a time"), Lease(tmp_path):
        pass
    beats.join()


def test_epochs_count_the_drivers_of_a_folder(tmp_path):
    for epoch in (1, 2, 3):
        with Lease(tmp_path) as lease:
            assert lease.epoch == epoch


def test_a_driver_that_was_frozen_promotes_nothing_more(tmp_path):
    path = tmp_path / LEASE_FILE
    with Lease(tmp_path, heartbeat_seconds=3600) as frozen:
        with frozen.held():
            pass
        write_json_atomically(path, {**read_json(path), "token": "of another"})
        with pytest.raises(LeaseLostError), frozen.held():
            pass
        with pytest.raises(LeaseLostError):
            frozen.check()


def test_a_cut_lease_holds_nobody_out(tmp_path):
    (tmp_path / LEASE_FILE).write_text(json.dumps({"pid": 1})[:5])
    take(tmp_path)


def test_the_heartbeat_shows_life_and_finds_out_about_a_takeover(tmp_path):
    path = tmp_path / LEASE_FILE
    with Lease(tmp_path, heartbeat_seconds=0.01) as lease:
        os.utime(path, (1, 1))
        time.sleep(0.1)
        assert path.stat().st_mtime > 1
        lease.check()
        write_json_atomically(path, {**read_json(path), "token": "other"})
        time.sleep(0.1)
        with pytest.raises(LeaseLostError, match="another driver"):
            lease.check()
    assert read_json(path)["token"] == "other"  # not ours to remove
