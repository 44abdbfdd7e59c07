"""A node of a Ray cluster is about to go: its training saves and goes on elsewhere."""

import time

import pytest
from ray_nodes import Nodes
from sweep_lab import Lab

from launch.executors.ray_executor import RayExecutor
from rdc.errors import ExitCode

# As in test_sweep_ray.py.
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")

HELD_AT = 6  # step that no training goes beyond before its node goes
HANG_SECONDS = 300  # far beyond what any machine needs


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
