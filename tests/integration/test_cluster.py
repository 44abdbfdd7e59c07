"""A sweep of real trainings on a cluster of three hosts that meets fault after fault.

The long ones stand in `test_cluster_faults.py`.
"""

import time

import pytest
from cluster_hosts import wait_until
from cluster_sweeps import SAVED

from rdc.errors import ExitCode
from rdc.jobs.layout import CHECKPOINT_FOLDER, RECORD_FILE
from rdc.jobs.parcel import STATE_FILE

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]


def test_faults_change_no_result(cluster_lab, undisturbed_sweep):
    """One store that fails one of five requests throughout, a second driver, a killed
    process, a machine without power, a killed driver whose jobs are on other machines,
    a damaged record and a damaged checkpoint.
    """
    cluster, sweep = cluster_lab.cluster, cluster_lab.sweep("faults")
    cluster_lab.proxy.before = lambda number, *_: 503 if number % 5 == 0 else None
    driver = sweep.start()
    # Of two hosts of two cores, one has two of three.
    stopped = sweep.hold(3)
    names = [one.host.name for one in stopped]
    [on_lost] = [one for one in stopped if names.count(one.host.name) == 1]
    killed, held = [one for one in stopped if one is not on_lost]

    killed.process.kill()
    second = sweep.start(host=killed.host)
    assert second.wait() == ExitCode.BAD_INPUT
    assert "one driver at a time" in second.text()

    began = time.monotonic()
    cluster.remove(on_lost.host)
    wait_until(lambda: "lost with its node" in driver.text(), "word of the lost node")
    print(f"lost with its node after {time.monotonic() - began:.0f} s")
    wait_until(sweep.records, "a finished job")
    driver.kill()
    wait_until(lambda: not sweep.jobs(), "the end of the driver's jobs")

    finished, attempts = sweep.records(), sweep.attempts()
    assert finished
    assert f"runs/{held.job_id[:2]}/{held.job_id}" not in finished
    cut = f"{next(iter(finished))}/{RECORD_FILE}"
    state = f"{held.attempt}/{CHECKPOINT_FOLDER}/{SAVED}/{STATE_FILE}"
    for key in (cut, state):
        whole = sweep.store.read(key)
        sweep.store.write(key, whole.data[: len(whole.data) // 2])
    cluster_lab.mend()
    cluster_lab.proxy.before = lambda number, *_: 503 if number % 5 == 0 else None
    sweep.run()

    sweep.assert_ended_like(undisturbed_sweep)
    after = sweep.attempts()
    assert {job: after[job] for job in finished} == {
        job: attempts[job] for job in finished
    }, "no finished job starts again"
    results = {
        record["job_id"]: (record["attempt"], record["result"])
        for record in sweep.records().values()
    }
    for one in (killed, on_lost):
        number, result = results[one.job_id]
        assert number > 1
        assert result["resumed_from_step"] == SAVED
    _, result = results[held.job_id]
    assert result["resumed_from_step"] == 0
    assert result["restarted_because"]
    sweep.assert_again_starts_nothing()
