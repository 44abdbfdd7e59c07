"""Jobs land on the machines that have what they ask for, on Ray clusters of several
kinds of nodes, whose accelerators are pretended."""

from dataclasses import replace

import pytest
from sweep_lab import Lab, Silent

from launch.executors import ray_autoscaler
from launch.executors.ray_executor import RayExecutor
from rdc.errors import ConfigError, ExitCode
from rdc.system.files import read_json
from sweeps.capacity import Resources
from sweeps.tasks import Task

# As in test_sweep_ray.py.
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")

GB = 10**9
HEAD = {"num_cpus": 2, "num_gpus": 0, "memory": GB, "include_dashboard": False}
ACCELERATOR = "ray.io/accelerator-type"


def node(name: str, **options) -> dict:
    """Of a cluster; its processes find its name in their environment."""
    return {**options, "env_vars": {"LAB_MACHINE": name}}


H100 = node("h100", num_cpus=2, num_gpus=1, memory=4 * GB, labels={ACCELERATOR: "H100"})
L4 = node("l4", num_cpus=2, num_gpus=1, memory=2 * GB, labels={ACCELERATOR: "L4"})
PLAIN = node(
    "plain",
    num_cpus=4,
    num_gpus=0,
    memory=8 * GB,
    labels={"zone": "b"},
    resources={"licence": 1},
)


@pytest.fixture(scope="module")
def cluster():
    """Of the three kinds, beside the head node."""
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args=HEAD)
    for kind in (H100, L4, PLAIN):
        found.add_node(**kind)
    yield found
    found.shutdown()


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "lab", jobs=3)


def tasks(lab: Lab, **by_stage: Resources) -> list[Task]:
    made = lab.tasks(tuple(by_stage))
    return [replace(task, resources=by_stage[task.job.stage]) for task in made]


class Together(Silent):
    """Notes how many jobs of each stage were at work at once."""

    def __init__(self) -> None:
        super().__init__()
        self.most: dict[str, int] = {}

    def tick(self, driver) -> None:
        stages = [running.task.job.stage for running in driver.running.values()]
        for stage in stages:
            self.most[stage] = max(self.most.get(stage, 0), stages.count(stage))


def test_jobs_land_where_all_they_ask_for_is(lab, cluster):
    wanted = {
        "train": Resources(memory_gb=1.5, device="H100"),
        "evaluate": Resources(custom=(("licence", 1.0),), memory_gb=3.0),
        "benchmark": Resources(cpus=None, device="zone=b", exclusive=True),
    }
    together = Together()
    executor = RayExecutor(lab.settings, cluster.address)
    end = lab.run(executor, tasks(lab, **wanted), observer=together)
    assert (end.exit_code, end.counts) == (ExitCode.OK, {"ok": 9})
    assert together.most["train"] <= 2, "4 GB hold two of 1.5"
    assert together.most["evaluate"] == 1, "there is one licence"
    for kind, name in (("runs", "h100"), ("evaluations", "plain")):
        assert {record.environment["machine"] for record in lab.records(kind)} == {name}
    timed = {record.environment["machine"] for record in lab.records("benchmarks")}
    assert timed == {"plain"}


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (Resources(device="A100"), "device .* got A100, and machines have H100, L4"),
        (Resources(device="zone=c"), "device .* got zone=c, and .* of zone are b"),
        (Resources(memory_gb=9.0), "hardware.train.memory_gb is at most 8 here; got 9"),
        (Resources(gpus=2.0), "hardware.train.gpus is at most 1 here; got 2"),
        (Resources(custom=(("licence", 2.0),)), "custom.licence is at most 1 here"),
        (Resources(gpus=1.0, device="zone=b"), "gpus is at most 0 here with zone=b"),
    ],
)
def test_what_no_node_has_is_refused_before_anything_starts(lab, cluster, wanted, text):
    executor = RayExecutor(lab.settings, cluster.address)
    with pytest.raises(ConfigError, match=text):
        lab.run(executor, tasks(lab, train=wanted))
    assert lab.journal() == []


def test_each_device_is_described_on_a_node_of_its_kind(lab, cluster, monkeypatch):
    def describe(settings):
        import os

        import ray

        return os.environ["LAB_MACHINE"], len(ray.get_gpu_ids())

    monkeypatch.setattr("launch.executors.ray_executor.describe_hardware", describe)
    executor = RayExecutor(lab.settings, cluster.address)
    try:
        assert executor.describe_hardware(device="H100") == ("h100", 1)
        assert executor.describe_hardware(device="L4") == ("l4", 1)
        assert executor.describe_hardware(0.0, device="L4") == ("l4", 0)
        assert executor.describe_hardware(device="zone=b") == ("plain", 0)
        assert executor.describe_hardware(0.0, None, {"licence": 1}) == ("plain", 0)
        with pytest.raises(ConfigError, match=r"hardware.benchmark.device .* got A100"):
            executor.describe_hardware(device="A100")
    finally:
        executor.close()


def test_a_process_that_runs_out_of_host_memory_gets_more_and_is_given_up(tmp_path):
    """Ray ends it, as on a node whose memory is full: to this one it always is."""
    from ray.cluster_utils import Cluster

    always = {"memory_usage_threshold": 0.001, "memory_monitor_refresh_ms": 100}
    full = Cluster(
        initialize_head=True,
        head_node_args={**HEAD, "memory": 8 * GB, "_system_config": always},
    )
    lab = Lab(tmp_path / "lab", jobs=1)
    lab.hold(0)  # it never ends by itself
    try:
        executor = RayExecutor(lab.settings, full.address)
        end = lab.run(executor, tasks(lab, train=Resources(memory_gb=3.0)))
    finally:
        full.shutdown()
    assert end.exit_code == ExitCode.SWEEP_HAS_FAILED_RUNS
    assert [outcome for _, outcome, _ in lab.observer.actions] == ["host_oom"] * 3
    starts = [action for *_, action in lab.observer.actions]
    assert [start.memory_factor for start in starts[:-1]] == [2, 4]
    requests = sorted(lab.out.glob("runs/*/*/attempts/*/request.json"))
    assert [read_json(path)["memory_factor"] for path in requests] == [1, 2, 4]
    [record] = lab.records()
    assert record.status == "oom"
    assert record.error == (
        "the memory of its machine ran out; hardware.train.memory_gb is 3, taken 4 "
        "times, 3 times: raise it"
    )


def read_by_version_2(address: str) -> None:
    """What the autoscaler notes that reads labels; none runs here."""
    from ray._raylet import (
        GCS_AUTOSCALER_STATE_NAMESPACE,
        GCS_AUTOSCALER_V2_ENABLED_KEY,
        GcsClient,
    )

    key, space = GCS_AUTOSCALER_V2_ENABLED_KEY, GCS_AUTOSCALER_STATE_NAMESPACE
    GcsClient(address).internal_kv_put(key.encode(), b"1", True, space.encode())


def requested(address: str) -> list[tuple[int, dict, dict]]:
    """What is asked of that autoscaler: how many, of what, with which labels."""
    from ray._raylet import GcsClient
    from ray.autoscaler.v2.sdk import get_cluster_resource_state

    state = get_cluster_resource_state(GcsClient(address))
    return [
        (
            one.count,
            dict(one.request.resources_bundle),
            {
                constraint.label_key: list(constraint.label_values)
                for selector in one.request.label_selectors
                for constraint in selector.label_constraints
            },
        )
        for asked in state.cluster_resource_constraints
        for one in asked.resource_requests
    ]


WANTED = Resources(gpus=1.0, memory_gb=2.0, device="H100")
BUNDLE = {"CPU": 1.0, "GPU": 1.0, "memory": 2.0 * GB}


def test_a_cluster_is_asked_for_nodes_until_a_sweep_stops(lab, monkeypatch, caplog):
    from ray.cluster_utils import Cluster

    monkeypatch.setattr(ray_autoscaler, "EVERY_SECONDS", 0.0)
    growing = Cluster(initialize_head=True, head_node_args=HEAD)
    try:
        _stops_while_it_waits(lab, growing, monkeypatch)
        [waits, reads] = caplog.messages
        assert waits.startswith("jobs wait for a machine that the cluster adds: ")
        assert "hardware.train.device" in waits
        assert "reads no labels" in reads
        _gets_a_node_and_goes_on(lab, growing, monkeypatch)
    finally:
        growing.shutdown()


def _stops_while_it_waits(lab, growing, monkeypatch) -> None:
    """With an older autoscaler."""
    from ray.autoscaler._private.constants import AUTOSCALER_RESOURCE_REQUEST_CHANNEL
    from ray.autoscaler.v2 import utils
    from ray.experimental.internal_kv import _internal_kv_get

    monkeypatch.setattr(utils, "cached_is_autoscaler_v2", None)
    asked = []

    class Impatient(Silent):
        def tick(self, driver) -> None:
            asked.append(_internal_kv_get(AUTOSCALER_RESOURCE_REQUEST_CHANNEL))
            driver.request_stop()

    executor = RayExecutor(lab.settings, growing.address, autoscales=True)
    session = executor._session
    with monkeypatch.context() as patched:  # open, to read what is asked at the end
        patched.setattr(session, "close", lambda: None)
        end = lab.run(executor, tasks(lab, train=WANTED), observer=Impatient())
    asked.append(_internal_kv_get(AUTOSCALER_RESOURCE_REQUEST_CHANNEL))
    session.close()
    assert end.exit_code == ExitCode.INTERRUPTED
    assert asked[0].count(b'"GPU"') == 3
    assert asked[-1] == b"[]"
    assert lab.journal() == []


def _gets_a_node_and_goes_on(lab, growing, monkeypatch) -> None:
    """With one that reads labels."""
    from ray.autoscaler.v2 import utils

    monkeypatch.setattr(utils, "cached_is_autoscaler_v2", None)
    read_by_version_2(growing.address)

    class Grows(Silent):
        """Adds a node when it is asked for."""

        def __init__(self) -> None:
            super().__init__()
            self.asked: list = []

        def tick(self, driver) -> None:
            self.asked.append(requested(growing.address))
            if len(self.asked) == 1:
                growing.add_node(**H100)

    observer = Grows()
    executor = RayExecutor(lab.settings, growing.address, autoscales=True)
    end = lab.run(executor, tasks(lab, train=WANTED), observer=observer)
    assert (end.exit_code, end.counts) == (ExitCode.OK, {"ok": 3})
    assert observer.asked[0] == [(3, BUNDLE, {ACCELERATOR: ["H100"]})]
    counts = [asked[0][0] for asked in observer.asked]
    assert counts == sorted(counts, reverse=True)
    assert set(counts) == {1, 2, 3}
    assert requested(growing.address) == []
