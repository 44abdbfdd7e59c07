"""Which device each process of this machine gets, with real processes."""

import json
import sys
import time

import pytest

from launch.executors.child import ChildSettings
from launch.executors.local import LocalExecutor
from rdc.errors import ConfigError
from sweeps.capacity import Resources
from sweeps.executor import Attempt

HANG_SECONDS = 120
# Says what it was given, and stays until a file tells it to end.
CODE = """
import json, os, sys, time
from pathlib import Path
names = (
    "CUDA_VISIBLE_DEVICES", "XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_PREALLOCATE"
)
folder = Path(sys.argv[1])
(folder / "given.tmp").write_text(json.dumps({n: os.environ.get(n) for n in names}))
(folder / "given.tmp").rename(folder / "given.json")
while not (folder.parent / "end").exists():
    time.sleep(0.01)
"""


@pytest.fixture
def executor(tmp_path, monkeypatch):
    # Cores for all: these tests are about GPUs, which are names alone here.
    monkeypatch.setattr("launch.executors.local.usable_cores", lambda: list(range(8)))
    for name in (
        "CUDA_VISIBLE_DEVICES",
        "XLA_CLIENT_MEM_FRACTION",
        "XLA_PYTHON_CLIENT_MEM_FRACTION",
        "XLA_PYTHON_CLIENT_PREALLOCATE",
    ):
        monkeypatch.delenv(name, raising=False)
    made = []

    def make(gpus: int) -> LocalExecutor:
        settings = ChildSettings((sys.executable, "-c", CODE), locks=tmp_path / "locks")
        made.append(LocalExecutor(settings, gpus))
        return made[-1]

    yield make
    for each in made:
        each.close()


def start(
    executor: LocalExecutor,
    folder,
    gpus: float = 0.0,
    resources: Resources | None = None,
) -> dict[str, str | None]:
    """What the process of a new attempt was given."""
    number = 1 + len(list(folder.glob("attempt*")))
    wanted = resources or Resources(gpus=gpus)
    attempt = Attempt(f"job {number}", 1, folder / f"attempt{number}", wanted)
    attempt.folder.mkdir()
    executor.start(attempt)
    given = attempt.folder / "given.json"
    deadline = time.monotonic() + HANG_SECONDS
    while not given.exists():
        assert time.monotonic() < deadline
        assert executor.wait(0.01) == []
    return json.loads(given.read_text())


def test_two_halves_share_one_gpu_and_its_memory(executor, tmp_path):
    local = executor(gpus=2)
    first, second = (start(local, tmp_path, 0.5) for _ in range(2))
    assert first == second
    assert first["CUDA_VISIBLE_DEVICES"] == "0"
    assert first["XLA_CLIENT_MEM_FRACTION"] == "0.450"
    assert first["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert local.has_room(Resources(gpus=1.0))
    whole = start(local, tmp_path, 1.0)
    assert whole["CUDA_VISIBLE_DEVICES"] == "1"
    assert whole["XLA_CLIENT_MEM_FRACTION"] is None
    assert whole["XLA_PYTHON_CLIENT_PREALLOCATE"] is None
    assert not local.has_room(Resources(gpus=0.5))
    assert local.has_room(Resources())


def test_shares_of_several_gpus_do_not_add_up_to_one(executor, tmp_path):
    local = executor(gpus=2)
    given = [start(local, tmp_path, 0.6)["CUDA_VISIBLE_DEVICES"] for _ in range(2)]
    assert given == ["0", "1"]
    assert not local.has_room(Resources(gpus=0.6))  # 0.4 are free on each
    assert local.has_room(Resources(gpus=0.4))


def test_thirds_make_a_whole_and_come_back(executor, tmp_path):
    local = executor(gpus=1)
    for _ in range(3):
        assert local.has_room(Resources(gpus=1 / 3))
        assert start(local, tmp_path, 1 / 3)["CUDA_VISIBLE_DEVICES"] == "0"
    assert not local.has_room(Resources(gpus=1 / 3))
    (tmp_path / "end").touch()
    ends = []
    while len(ends) < 3:
        ends += local.wait(HANG_SECONDS)
    assert [end.exit_code for end in ends] == [0, 0, 0]
    assert local.has_room(Resources(gpus=1.0))


def test_a_driver_that_sees_some_gpus_hands_on_these(executor, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    local = executor(gpus=2)
    assert start(local, tmp_path, 2.0)["CUDA_VISIBLE_DEVICES"] == "3,5"


def test_on_a_cpu_a_process_keeps_its_variables(executor, tmp_path):
    local = executor(gpus=0)
    assert start(local, tmp_path, 0.0)["CUDA_VISIBLE_DEVICES"] is None


def test_memory_bounds_what_runs_side_by_side(executor, tmp_path):
    local = executor(gpus=0)
    [machine] = local.capacity().machines
    most = Resources(memory_gb=0.6 * machine.memory_gb)
    assert local.has_room(most)
    start(local, tmp_path, resources=most)
    assert not local.has_room(most)
    assert local.has_room(Resources(memory_gb=0.3 * machine.memory_gb))


def test_a_device_is_what_the_machine_is(tmp_path):
    described = {"platform": "gpu", "device_count": 2}
    for kind, name in (
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA A100-SXM4-40GB", "A100"),
        ("NVIDIA GeForce RTX 5090", "GeForce-RTX-5090"),
    ):
        local = LocalExecutor.on({**described, "device_kind": kind}, ChildSettings())
        wanted = Resources(gpus=1.0, device=name)
        assert local.capacity().lacks(wanted, "hardware.train") is None
        assert local.has_room(wanted)
    other = Resources(device="H200")
    lacking = local.capacity().lacks(other, "hardware.train")
    assert "got H200, and machines have GeForce-RTX-5090" in str(lacking)
    plain = LocalExecutor.on({"platform": "cpu"}, ChildSettings()).capacity()
    assert "machines have no known kind" in str(plain.lacks(other, "hardware.train"))


@pytest.mark.parametrize("gpus", [1.5, -1.0])
def test_what_no_process_can_have_is_refused(gpus):
    with pytest.raises(ConfigError, match=r"a share of one"):
        Resources(gpus=gpus)
