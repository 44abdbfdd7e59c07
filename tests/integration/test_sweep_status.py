"""A sweep as another process sees it: at work, after SIGKILL, after its end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sweep_lab import Lab
from test_sweep_faults import kill_with_children

from rdc.jobs.layout import STATUS_FILE
from sweeps.grid import Grid
from sweeps.onlooker import Sight, look
from sweeps.plan import make_plan
from sweeps.plan_file import write_plan
from tests.conftest import REPOSITORY

SWEEP = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from rich.console import Console
from launch.commands.execution import execute
from launch.executors.local import LocalExecutor
from sweep_lab import LIMITS, Lab
lab = Lab(Path({folder!r}), jobs=2, steps=5)
lab.faults({{"train:0": ["crash_a", "crash_a"]}})
tasks = lab.tasks(("train", "evaluate"))
with lab.outputs.lease() as lease:
    executor = LocalExecutor(lab.settings)
    execute(lab.outputs, tasks, executor, lease, Console(), grid="lab", limits=LIMITS)
"""


def begin(lab: Lab) -> subprocess.Popen:
    script = SWEEP.format(here=str(Path(__file__).parent), folder=str(lab.folder))
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)


def seen(lab: Lab, sweep: subprocess.Popen, wanted: Callable[[Sight], bool]) -> None:
    """Waits until a look is as wanted."""
    while not wanted(look(lab.out)):
        assert sweep.poll() is None
        time.sleep(0.05)


def status(lab: Lab, *options: str) -> str:
    """What `launch/status.py` prints, in a process of its own."""
    command = [sys.executable, "launch/status.py", f"out={lab.out}", *options]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_a_sweep_is_seen_at_work_killed_and_ended(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab", jobs=2, steps=5)
    lab.hold(3)
    sweep = begin(lab)
    seen(
        lab,
        sweep,
        lambda sight: (
            sight.state == "running"
            and sight.told is not None
            and any(one.step == 3 for one in sight.told.running)
            and sight.told.counts["failed"] == 1
        ),
    )
    now = json.loads(status(lab, "format=json"))
    assert now["state"] == "running"
    stages = {stage["stage"]: stage["counts"] for stage in now["stages"]}
    assert stages == {
        "train": {"running": 1, "failed": 1},
        "evaluate": {"pending": 1, "blocked": 1},
    }
    [running] = now["running"]
    assert (running["step"], running["steps"], running["loss"]) == (3, 5, 1.0)
    final, again = now["failures"]
    assert (final["status"], again["status"]) == ("failed", "")
    assert "crash_a" in Path(final["log"]).read_text()

    kill_with_children(sweep)
    gone = json.loads(status(lab, "format=json"))
    assert (gone["state"], gone["running"], gone["end"]) == ("gone", [], None)
    assert f"{sweep.pid} on " in status(lab)
    assert "is gone: its last heartbeat was" in status(lab)

    lab.hold(None)
    sweep = begin(lab)
    lines = status(lab, "follow=true")
    assert sweep.wait() == 0
    text = status(lab)
    assert "exit code 3: " in text
    assert "2 of 4 done, 1 failed, 1 blocked" in text
    assert text.count("/log.txt") == 2  # of the driver before
    assert "ended" in lines

    (lab.out / STATUS_FILE).unlink()
    grid = {"name": "lab", "blocks": [{"product": {"train.seed": [0, 1]}}]}
    base = {"transform": "conv", "entropy_model": "factorized"}
    train = {"lmbda": 0.0125}
    plan = make_plan(Grid.from_dict({**grid, "base": base}), train, "00")
    write_plan(lab.out, plan)
    older = json.loads(status(lab, "format=json"))
    stages = {stage["stage"]: stage["counts"] for stage in older["stages"]}
    assert stages == {"train": {"ok": 1, "failed": 1}, "evaluate": {"ok": 1}}
