"""The driver on a local Ray: real tasks, real subprocesses, workers that are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from sweep_lab import Lab

from launch.executors.child import ChildSettings
from launch.executors.ray_executor import RayExecutor
from rdc.errors import ConfigError, ExitCode

HANG_SECONDS = 300  # far beyond what any machine needs

# Other tests of this process may have loaded JAX, whose threads do not like Ray's
# forks. The driver of a sweep never loads it.
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "lab", steps=10)


def executor(lab: Lab) -> RayExecutor:
    return RayExecutor(lab.settings, num_cpus=2)


def children_of(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_sweep_with_failures_of_every_kind(lab):
    lab.faults(
        {"train:0": ["crash_a", "killed", "oom"], "train:1": ["diverged", "preempted"]}
    )
    tasks = lab.tasks(("train", "evaluate", "benchmark"))
    end = lab.run(executor(lab), tasks)
    assert end.exit_code == ExitCode.OK
    assert end.counts == {"ok": 6}
    assert len(lab.journal("done")) == 6


class Killer:
    """Kills the Ray worker of the first training in its middle."""

    def __init__(self, lab: Lab):
        self.lab, self.killed = lab, 0

    def started(self, running) -> None: ...

    def ended(self, task, ended, action) -> None: ...

    def refused(self, node, reason) -> None: ...

    def tick(self, driver) -> None:
        if self.killed or not self.lab.journal("step 4"):
            return
        for process in children_of(os.getpid()):
            if process.name().startswith("ray::watch"):
                process.kill()
                self.killed += 1
                self.lab.hold(None)
                return


def test_a_killed_ray_worker_takes_its_child_along_and_the_job_goes_on(lab):
    lab.hold(6)  # no training ends before the kill
    killer = Killer(lab)
    end = lab.run(executor(lab), lab.tasks(), observer=killer)
    assert killer.killed == 1
    assert end.exit_code == ExitCode.OK
    outcomes = sorted(len(list(p.glob("attempts/*"))) for p in lab.out.glob("runs/*/*"))
    assert outcomes == [1, 2]
    # The second attempt went on from the checkpoint of the first.
    assert sum(lab.steps_done().values()) <= 2 * 10 + 1


def test_a_stop_lets_the_jobs_save_their_state(lab):
    class Impatient(Killer):
        def tick(self, driver) -> None:
            if all(lab.journal(f"train {key} 1 step 2") for key in (0, 1)):
                driver.request_stop()

    lab.hold(3)
    end = lab.run(executor(lab), lab.tasks(), observer=Impatient(lab))
    assert end.exit_code == ExitCode.INTERRUPTED
    assert len(lab.journal("stopped")) == 2


def test_a_stop_reaches_jobs_that_no_node_has_taken(lab):
    """Somebody else's work holds the cluster; ours waits in its queue, till we stop."""
    on_ray = executor(lab)
    session = on_ray._session
    work = session.ray.remote(num_cpus=2)(lambda: time.sleep(HANG_SECONDS))
    hog = work.remote()

    class Impatient(Killer):
        ticks = 0

        def tick(self, driver) -> None:
            self.ticks += 1
            if self.ticks == 5:
                assert driver.running
                driver.request_stop()

    began = time.monotonic()
    end = lab.run(on_ray, lab.tasks(), observer=Impatient(lab))
    assert time.monotonic() - began < HANG_SECONDS / 2
    assert end.exit_code == ExitCode.INTERRUPTED
    assert lab.journal() == []
    del hog
    again = lab.run(executor(lab), lab.tasks())
    assert (again.exit_code, again.counts) == (ExitCode.OK, {"ok": 2})


DRIVER = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from launch.executors.ray_executor import RayExecutor
from sweep_lab import Lab
lab = Lab(Path({folder!r}), steps=10)
lab.run(RayExecutor(lab.settings, num_cpus=2), lab.tasks())
"""


def test_nothing_outlives_a_killed_driver(lab):
    lab.hold(6)
    here = str(Path(__file__).parent)
    script = DRIVER.format(here=here, folder=str(lab.folder))
    driver = subprocess.Popen([sys.executable, "-c", script])
    while not lab.journal("step 4"):
        assert driver.poll() is None
        time.sleep(0.02)
    # Ray's two agents need a minute to see that they are alone; they run no jobs.
    family = [p for p in children_of(driver.pid) if not p.name().endswith("Agent")]
    assert any("fault_worker" in " ".join(p.cmdline()) for p in family)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    deadline = time.monotonic() + HANG_SECONDS
    while any(is_alive(process) for process in family):
        assert time.monotonic() < deadline, family
        time.sleep(0.05)
    lab.hold(None)
    end = lab.run(executor(lab), lab.tasks())
    assert end.exit_code == ExitCode.OK
    assert len(lab.steps_done()) == 20
    assert sum(lab.steps_done().values()) <= 22


def test_a_cluster_that_does_not_answer_is_named():
    with pytest.raises(ConfigError, match=r"cluster answers; got 127.0.0.1:1"):
        RayExecutor(ChildSettings(), "127.0.0.1:1").capacity()


@pytest.fixture
def mixed_cluster():
    """Address of a cluster of a node without and one with a (pretended) GPU."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 4, "num_gpus": 0, "include_dashboard": False},
    )
    cluster.add_node(num_cpus=2, num_gpus=1)
    yield cluster.address
    cluster.shutdown()


def test_a_cluster_describes_a_node_with_what_the_jobs_ask_for(
    lab, mixed_cluster, monkeypatch
):
    def describe(settings):  # JAX sees no pretended GPU, but Ray hands it out
        import ray

        return {
            "gpus": ray.get_gpu_ids(),
            "node": ray.get_runtime_context().get_node_id(),
        }

    monkeypatch.setattr("launch.executors.ray_executor.describe_hardware", describe)
    on_cluster = RayExecutor(lab.settings, mixed_cluster)
    try:
        nodes = on_cluster._session.ray.nodes()
        [with_gpu] = [n["NodeID"] for n in nodes if n["Resources"].get("GPU")]
        for gpus in (None, 0.5, 1.0):
            described = on_cluster.describe_hardware(gpus)
            assert described == {"gpus": [0], "node": with_gpu}
        assert on_cluster.describe_hardware(0.0)["gpus"] == []
        with pytest.raises(ConfigError, match=r"gpus is at most 1.*; got 2"):
            on_cluster.describe_hardware(2.0)
        with pytest.raises(ConfigError, match=r"hardware.train.gpus is at most 1"):
            lab.run(on_cluster, lab.tasks(gpus=2.0))
    finally:
        on_cluster.close()
    assert lab.journal() == []


def test_a_whole_machine_is_the_one_that_has_the_gpus(lab, mixed_cluster):
    """Not the most cores and the most GPUs anywhere, which no machine has together."""
    tasks = lab.tasks(("train", "evaluate"), gpus=1.0, cpus=None)
    end = lab.run(RayExecutor(lab.settings, mixed_cluster), tasks)
    assert (end.exit_code, end.counts) == (ExitCode.OK, {"ok": 4})
    assert {record.environment["gpus"] for record in lab.records()} == {"0"}
    evaluated = lab.records("evaluations")
    assert {record.environment["gpus"] for record in evaluated} == {""}, "they see none"


def test_a_full_kind_of_machine_keeps_no_other_kind_waiting(lab, mixed_cluster):
    """Two trainings want the one GPU; the first one's evaluation needs none."""
    lab.hold(None)
    tasks = lab.tasks(("train", "evaluate"), gpus=1.0)
    held = {task.job.stage: task for task in tasks}
    assert held["train"].priority <= held["evaluate"].priority
    watcher = Beside()
    end = lab.run(RayExecutor(lab.settings, mixed_cluster), tasks, observer=watcher)
    assert end.counts == {"ok": 4}
    assert ("evaluate", "train") in watcher.beside


class Beside:
    """Notes which stages were at work when a job started."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.beside: set[tuple[str, str]] = set()

    def started(self, running) -> None:
        stage = running.task.job.stage
        self.beside |= {(stage, other) for other in self.running}
        self.running.append(stage)

    def ended(self, task, ended, action) -> None:
        self.running.remove(task.job.stage)

    def refused(self, node, reason) -> None: ...

    def tick(self, driver) -> None: ...
