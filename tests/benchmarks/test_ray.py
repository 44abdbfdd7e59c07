"""What an attempt on Ray costs the driver, and how soon a job goes on after its node is
lost."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from launch.executors.child import ChildSettings
from launch.executors.ray_executor import RayExecutor
from sweeps.capacity import Resources
from sweeps.executor import Attempt
from sweeps.policy import Limits

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
from ray_nodes import Nodes
from sweep_lab import Lab, Silent

pytestmark = [
    pytest.mark.benchmark,
    # As in tests/integration/test_sweep_ray.py.
    pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"),
]

ATTEMPTS, WARM_UP = 200, 20
HELD_AT = 6  # step that no training goes beyond before its node is lost


def test_start_of_an_attempt(tmp_path: Path) -> None:
    settings = ChildSettings(("/bin/true",), locks=tmp_path / "locks")
    executor = RayExecutor(settings, num_cpus=2)
    starting, began, ended = 0.0, 0.0, 0
    try:
        for number in range(WARM_UP + ATTEMPTS):
            if number == WARM_UP:
                starting, began, ended = 0.0, time.perf_counter(), 0
            attempt = Attempt("job", number, tmp_path / str(number), Resources())
            attempt.folder.mkdir()
            while not executor.has_room(attempt.resources):
                ended += len(executor.wait(1.0))
            start = time.perf_counter()
            executor.start(attempt)
            starting += time.perf_counter() - start
        seconds = time.perf_counter() - began
    finally:
        executor.close()
    assert ended >= ATTEMPTS - 2
    start_ms, each_ms = 1000 * starting / ATTEMPTS, 1000 * seconds / ATTEMPTS
    print(
        f"\nstart of an attempt on Ray: {start_ms:.2f} ms of the driver (target 2 ms); "
        f"{each_ms:.0f} ms for each to come and go, two at a time"
    )


class Loses:
    """Kills the node of a training, where there is another; looks when it goes on."""

    def __init__(self, lab: Lab, nodes: Nodes):
        self._lab, self._nodes = lab, nodes
        self.lost_at = self.goes_on_at = 0.0

    started = Silent.started

    def ended(self, task, ended, action) -> None: ...

    def tick(self, driver) -> None:
        import ray

        if not self.lost_at and self._lab.journal(f"step {HELD_AT - 1}"):
            first = self._nodes.started[-1]
            self._nodes.add()
            while sum(n["Alive"] for n in ray.nodes()) < 3:  # the head, too
                time.sleep(0.1)
            self._nodes.kill(first)
            self.lost_at = time.monotonic()
        if not self.goes_on_at and self._lab.journal("train 0 2 begin"):
            self.goes_on_at = time.monotonic()
            self._lab.hold(None)


def test_a_job_goes_on_after_its_node_is_lost(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab", jobs=1, steps=10)
    lab.hold(HELD_AT)
    nodes = Nodes()
    try:
        watcher = Loses(lab, nodes)
        executor = RayExecutor(lab.settings, nodes.address)
        end = lab.run(executor, lab.tasks(), observer=watcher, limits=Limits())
    finally:
        nodes.close()
    assert end.counts == {"ok": 1}
    print(
        "\na job goes on elsewhere after its node's processes are killed: "
        f"{watcher.goes_on_at - watcher.lost_at:.1f} s (target 5 s)"
    )
