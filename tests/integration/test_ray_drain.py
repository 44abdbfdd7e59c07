"""A node of a Ray cluster is about to go: its training saves and goes on elsewhere."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from sweep_lab import Lab

from launch.executors.ray_executor import RayExecutor
from rdc.errors import ExitCode

# As in test_sweep_ray.py.
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")

HELD_AT = 6  # step that no training goes beyond before its node goes
HANG_SECONDS = 300  # far beyond what any machine needs


class Nodes:
    """A cluster whose head runs no jobs, and one node that does.

    Attributes:
      address: of the head.
    """

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self._started: list[subprocess.Popen] = []
        self.address = self._cluster.address
        self.add()

    def add(self) -> None:
        """A node with one core, as operators start it."""
        ray = str(Path(sys.executable).with_name("ray"))
        command = [ray, "start", f"--address={self.address}", "--num-cpus=1", "--block"]
        self._started.append(
            subprocess.Popen(command, stdout=subprocess.DEVNULL, process_group=0)
        )

    def sigterm(self) -> None:
        """To what operators started."""
        self._started[-1].send_signal(signal.SIGTERM)

    def kill_raylet(self) -> None:
        """SIGTERM to the heart of the node, which ends it at once."""
        self.raylet().terminate()

    def raylet(self) -> psutil.Process:
        started = psutil.Process(self._started[-1].pid).children()
        [raylet] = [process for process in started if process.name() == "raylet"]
        return raylet

    def drain(self) -> None:
        """As an autoscaler does, before it takes the node away."""
        import ray
        from ray.core.generated import autoscaler_pb2

        [node] = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")]
        accepted, reason = ray._raylet.GcsClient(address=self.address).drain_node(
            node["NodeID"],
            autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"),
            "the machine goes",
            int(1000 * (time.time() + 600)),
        )
        assert accepted, reason

    def close(self) -> None:
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def nodes():
    nodes = Nodes()
    yield nodes
    nodes.close()


class Goes:
    """Takes the node away in the middle of a training, and adds another."""

    def __init__(self, lab: Lab, nodes: Nodes, how: str):
        self._lab, self._nodes, self._how = lab, nodes, how
        self._gives_up = time.monotonic() + HANG_SECONDS
        self.left: int | None = None  # pid of the raylet of the node that went
        self.outcomes: list[str] = []

    def started(self, running) -> None: ...

    def ended(self, task, ended, action) -> None:
        self.outcomes.append(ended.outcome)

    def tick(self, driver) -> None:
        assert time.monotonic() < self._gives_up, self._lab.journal()
        if self.left is None and self._lab.journal(f"step {HELD_AT - 1}"):
            self.left = self._nodes.raylet().pid
            getattr(self._nodes, self._how)()
            self._nodes.add()
        if self._lab.journal("train 0 2 begin"):
            self._lab.hold(None)


@pytest.mark.parametrize("how", ["drain", "sigterm", "kill_raylet"])
def test_a_training_goes_on_elsewhere_where_its_node_goes(how, nodes, tmp_path):
    lab = Lab(tmp_path / "lab", jobs=1, steps=10)
    lab.hold(HELD_AT)
    watcher = Goes(lab, nodes, how)
    end = lab.run(
        RayExecutor(lab.settings, nodes.address), lab.tasks(), observer=watcher
    )
    assert (end.exit_code, end.counts) == (ExitCode.OK, {"ok": 1})
    [record] = lab.records()
    assert record.environment["raylet"] not in (None, str(watcher.left))
    if how == "kill_raylet":  # Ray leaves nobody time to save
        assert watcher.outcomes == ["lost", "ok"]
        assert not lab.journal("stopped")
    else:
        assert watcher.outcomes == ["preempted", "ok"]
        assert lab.journal("stopped") == ["train 0 1 stopped"]
    assert lab.steps_done() == {f"0 {step}": 1 for step in range(10)}
