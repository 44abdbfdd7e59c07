"""Machines of a cluster that cannot work, or on which jobs fail: they are told apart
from jobs that fail everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sweep_lab import Lab

from launch.executors.ray_executor import RayExecutor
from rdc.errors import ExitCode

pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a cluster of two nodes, `bad` and `good`, and a head without cores."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "num_gpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for name in ("bad", "good"):
        cluster.add_node(num_cpus=2, env_vars={"LAB_NODE": name})
    yield cluster.address
    cluster.shutdown()


@pytest.fixture
def lab(tmp_path) -> Lab:
    return Lab(tmp_path / "lab", jobs=8, steps=3)


def begun_on(lab: Lab, node: str) -> list[str]:
    return [line for line in lab.journal("begin") if line.endswith(f"on {node}")]


@pytest.mark.parametrize("fault", ["node_fault", "crash_a", "bad_input"])
def test_a_bad_machine_gets_no_more_jobs_and_its_failures_are_not_theirs(
    lab: Lab, address: str, fault: str
) -> None:
    lab.faults({"train@bad": fault})
    on_cluster = RayExecutor(lab.settings, address)
    end = lab.run(on_cluster, lab.tasks())
    assert (end.exit_code, end.counts) == (ExitCode.OK, {"ok": 8})
    assert len(lab.journal("done")) == 8
    if fault == "node_fault":
        # What had begun there before it was known: on its two slots, and where Ray put
        # a job that waited when one of them was free, before anyone could say so.
        begun = [line.split(" on ")[0].split()[1] for line in begun_on(lab, "bad")]
        assert len(begun) == len(set(begun)) <= 4
    [(name, reason)] = lab.observer.refused_nodes
    assert "(node " in name
    expected = {"node_fault": "has a disk"}.get(fault, "failed")
    assert expected in reason
    ends = [action for action in lab.observer.actions if action[1] != "ok"]
    assert {outcome for _, outcome, _ in ends} <= {fault, "crashed"}


def test_what_fails_on_every_machine_is_the_jobs_own(lab: Lab, address: str) -> None:
    lab.faults({"train:0": ["crash_a"] * 4, "train:1": ["bad_input"] * 4})
    end = lab.run(RayExecutor(lab.settings, address), lab.tasks())
    assert (end.exit_code, end.counts) == (
        ExitCode.SWEEP_HAS_FAILED_RUNS,
        {"ok": 6, "failed": 2},
    )
    assert lab.observer.refused_nodes == []
    for key in (0, 1):
        tried = lab.journal(f"train {key} ")
        assert {line.rsplit(" on ")[-1] for line in tried} == {"bad", "good"}


def test_without_any_machine_the_sweep_says_why_and_ends(
    lab: Lab, address: str
) -> None:
    lab.faults({"train@bad": "node_fault", "train@good": "node_fault"})
    end = lab.run(RayExecutor(lab.settings, address), lab.tasks())
    assert end.exit_code == ExitCode.BAD_INPUT
    assert "no machine is left" in end.message
    assert "has a disk" in end.message
    lab.faults({})
    again = lab.run(RayExecutor(lab.settings, address), lab.tasks())
    assert again.counts == {"ok": 8}, "nothing counts against the jobs"


def test_one_machine_that_cannot_work_ends_the_sweep(lab: Lab) -> None:
    from launch.executors.local import LocalExecutor

    lab.faults({"train": ["node_fault"]})
    end = lab.run(LocalExecutor(lab.settings), lab.tasks())
    assert end.exit_code == ExitCode.BAD_INPUT
    assert "has a disk" in end.message
    lab.faults({})
    assert lab.run(LocalExecutor(lab.settings), lab.tasks()).counts == {"ok": 8}
