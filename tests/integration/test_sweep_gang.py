"""Trainings on several hosts: Ray nodes of this machine, with a process of JAX on each.

Accelerators and slices are pretended; the processes compute on CPUs.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cluster_sweeps import small_images
from sweep_lab import LIMITS, Lab, Silent

from launch.executors.child import ChildSettings
from launch.executors.local import LocalExecutor
from launch.executors.ray_executor import RayExecutor
from rdc.data.image_sets import data_sha256
from rdc.errors import ConfigError, ExitCode
from rdc.jobs.job import TrainJob
from rdc.jobs.records import Record, TrainResult
from rdc.specs.model import ModelSpec
from rdc.specs.recipe import Recipe
from rdc.specs.timing import BenchmarkSpec
from rdc.system.files import read_json
from sweeps.capacity import Resources
from sweeps.driver import Driver, SweepEnd
from sweeps.executor import Executor
from sweeps.lease import Lease
from sweeps.outputs import Outputs
from sweeps.plan import Plan, Run
from sweeps.task_settings import ImageSet, StageSettings, TaskSettings
from sweeps.tasks import Task, make_tasks
from tests.architectures import ALL

# As in test_sweep_ray.py.
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")

WORKER = Path(__file__).with_name("gang_worker.py")
SLICE = {"ray.io/tpu-pod-type": "v4-16"}
STEPS = 9
HANG_SECONDS = 300  # far beyond what any machine needs


def host(name: str, slice_name: str, number: int) -> dict:
    """A node that is a host of a TPU slice."""
    labels = {"ray.io/tpu-slice-name": slice_name, "ray.io/tpu-worker-id": str(number)}
    return {
        "num_cpus": 1,
        "resources": {"TPU": 4},
        "labels": {**SLICE, **labels},
        "env_vars": {"LAB_NODE": name, "TPU_WORKER_ID": "7"},
    }


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a cluster with a whole slice and a host of one that is not, and a head without
    cores."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "num_gpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    # In this order, so that the ranks are no accident of it.
    for name, slice_name, number in (("alone", "a", 0), ("b1", "b", 1), ("b0", "b", 0)):
        cluster.add_node(**host(name, slice_name, number))
    yield cluster.address
    cluster.shutdown()


def with_resources(lab: Lab, wanted: Resources) -> list[Task]:
    return [replace(task, resources=wanted) for task in lab.tasks()]


ON_A_SLICE = Resources(
    hosts=2,
    device="ray.io/tpu-pod-type=v4-16",
    custom=(("TPU", 4.0),),
    tpu_slice="v4-16",
)


def seats(lab: Lab) -> list[str]:
    """Who was which process, where; by rank."""
    return sorted((lab.folder / "seats.txt").read_text().splitlines())


class LetsGo(Silent):
    """Ends what keeps a node busy, after it has looked that nothing began meanwhile."""

    def __init__(self, lab: Lab, executor: RayExecutor, busy: object):
        super().__init__()
        self._lab, self._executor, self._busy = lab, executor, busy
        self.seen: list[list[str]] = []
        self._gives_up = time.monotonic() + HANG_SECONDS

    def tick(self, driver: Driver) -> None:
        assert time.monotonic() < self._gives_up, self._lab.journal()
        if len(self.seen) < 10:
            self.seen.append(self._lab.journal())
        elif self._busy is not None:
            self._executor._session.ray.cancel(self._busy)
            self._busy = None


def test_a_slice_waits_for_all_of_its_hosts_which_know_each_other(
    address: str, tmp_path: Path
) -> None:
    lab = Lab(tmp_path / "lab", jobs=1)
    executor = RayExecutor(lab.settings, address)

    def sleep() -> None:
        while True:  # a cancelled task notices between two of them
            time.sleep(0.1)

    labels = {"ray.io/tpu-slice-name": "b", "ray.io/tpu-worker-id": "1"}
    busy = executor._session.ray.remote(max_retries=0)(sleep)
    watcher = LetsGo(
        lab, executor, busy.options(num_cpus=1, label_selector=labels).remote()
    )
    tasks = with_resources(lab, ON_A_SLICE)
    end = lab.run(executor, tasks, observer=watcher)
    assert (end.exit_code, end.started) == (ExitCode.OK, 1)
    assert watcher.seen == [[]] * 10
    [b0, b1] = seats(lab)
    assert b0.startswith("0 of 2 on b0 TPU_WORKER_HOSTNAMES=")
    assert b0.endswith(" TPU_WORKER_ID=0")
    assert b1.startswith("1 of 2 on b1 TPU_WORKER_HOSTNAMES=")
    assert b1.endswith(" TPU_WORKER_ID=1")


def test_one_process_alone_hears_nothing_of_the_slice_of_its_node(
    address: str, tmp_path: Path
) -> None:
    lab = Lab(tmp_path / "lab", jobs=1)
    end = lab.run(RayExecutor(lab.settings, address), lab.tasks())
    assert end.exit_code == ExitCode.OK
    [seat] = seats(lab)
    assert seat in [f"0 of 1 on {name}" for name in ("alone", "b0", "b1")]


def test_more_hosts_than_there_are_machines_are_refused(
    address: str, tmp_path: Path
) -> None:
    lab = Lab(tmp_path / "lab", jobs=1)
    tasks = with_resources(lab, Resources(hosts=4))
    for executor in (RayExecutor(lab.settings, address), LocalExecutor(lab.settings)):
        with pytest.raises(ConfigError, match=r"hardware.train.hosts is at most [13]"):
            lab.run(executor, tasks)
    assert lab.journal() == []


class TrainingLab:
    """One real training, tiny."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.images = small_images(folder / "images") / "train"
        model = ModelSpec(
            architecture=ALL["conv-factorized-None"],
            recipe=Recipe(
                steps=STEPS, batch_size=2, crop_px=32, learning_rate=1e-3, seed=3
            ),
            rates=(0.0125,),
            data_sha256=data_sha256(str(self.images)),
        )
        self.plan = Plan("gang", (Run(TrainJob(model=model), "tiny", None),))

    def executor_settings(self, *signals: str, devices: int = 1) -> ChildSettings:
        """Of processes that see so many devices."""
        (self.folder / "signals.json").write_text(json.dumps(signals))
        flags = (
            f"--xla_force_host_platform_device_count={devices} "
            "--xla_backend_optimization_level=0 "
            "--xla_llvm_disable_expensive_passes=true"
        )
        return ChildSettings(
            (sys.executable, str(WORKER), str(self.folder)),
            environment={"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
            locks=self.folder / "locks",
        )

    def run(
        self, name: str, executor: Executor, hosts: int
    ) -> tuple[SweepEnd, Silent, Record]:
        """Into a folder of this name."""
        images = ImageSet(
            str(self.images), "images", self.plan.runs[0].model.data_sha256
        )
        settings = TaskSettings(
            stages=("train",),
            train_set=images,
            eval_set=images,
            hardware_id="here",
            benchmark=BenchmarkSpec(),
            per_stage={"train": StageSettings(resources=Resources(hosts=hosts))},
        )
        out, watcher = self.folder / name, Silent()
        with Lease(out) as lease:
            try:
                driver = Driver(
                    Outputs(out),
                    make_tasks(self.plan, settings),
                    executor,
                    lease,
                    limits=LIMITS,
                    observer=watcher,
                )
                end = driver.run()
            finally:
                executor.close()
        [path] = out.glob("runs/*/*/record.json")
        return end, watcher, Record.from_dict(read_json(path))

    def weights(self, name: str, record: Record) -> list[np.ndarray]:
        """Of the model that was trained."""
        import jax
        from flax import nnx

        from rdc.codec.exported import load_exported

        [folder] = (self.folder / name).glob(
            f"runs/*/*/attempts/{record.attempt}/model"
        )
        model = load_exported(folder).model
        return list(map(np.asarray, jax.tree.leaves(nnx.state(model, nnx.Param))))


@pytest.mark.benchmark
def test_two_hosts_train_what_two_devices_of_one_do_stopped_and_killed(
    address: str, tmp_path: Path
) -> None:
    """SIGTERM to one of them stops both at one step; its death ends both."""
    lab = TrainingLab(tmp_path)
    alone = LocalExecutor(lab.executor_settings(devices=2))
    end, _, record = lab.run("alone", alone, hosts=1)
    assert end.exit_code == ExitCode.OK
    expected = lab.weights("alone", record)

    disturbed = lab.executor_settings("SIGTERM", "SIGKILL")
    end, watcher, record = lab.run("gang", RayExecutor(disturbed, address), hosts=2)
    assert (end.exit_code, end.started) == (ExitCode.OK, 3)
    outcomes = [outcome for _, outcome, _ in watcher.actions]
    assert outcomes == ["preempted", "lost", "ok"]
    result = TrainResult.from_dict(record.result)
    summary = result.summary
    assert (summary.hosts, summary.devices, summary.steps) == (2, 2, STEPS)
    # At the third step it hears the signal, and one later both know.
    assert result.resumed_from_step == 4
    for ours, theirs in zip(lab.weights("gang", record), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    attempts = sorted((tmp_path / "gang").glob("runs/*/*/attempts/*"))
    assert [len(list(attempt.glob("log*.txt"))) for attempt in attempts] == [2, 2, 2]
    assert not (attempts[1] / "record.json").exists(), "nobody told of a failure"
