"""Real trainings over an object store: stopped on one machine, ended on another."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rdc.data.image_sets import list_images
from rdc.errors import ExitCode
from rdc.system.files import parsed_json
from rdc.system.store import Store

ROOT = Path(__file__).parents[2]
STEPS = 240  # more than are done while a signal is on its way


def machine(folder: Path, out: str, *options: str) -> subprocess.Popen:
    """A sweep from a machine that nobody has used; only what XLA compiled is shared."""
    cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    compiled = str(Path(cache) / "rdc-frontier/jax")
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(folder / "cache"),
        "JAX_COMPILATION_CACHE_DIR": os.environ.get(
            "JAX_COMPILATION_CACHE_DIR", compiled
        ),
    }
    command = [
        sys.executable,
        "launch/sweep.py",
        "+grid=rdc_smoke",
        f"out={out}",
        f"cluster.scratch={folder / 'scratch'}",
        "launcher=local",
        "hardware=cpu",
        "codecs=[]",
        f"train.steps={STEPS}",
        "checkpoint.every_steps=20",
        "data.carry=true",
        "stages=[plan,complexity,train,evaluate,gather,report]",
        *options,
    ]
    return subprocess.Popen(command, cwd=ROOT, env=environment)


# A minute and a half: `make bench`. Sweeps over a store, and its faults, have tests in
# `make test`.
@pytest.mark.benchmark
def test_trainings_move_to_another_machine(s3, tmp_path):
    store = Store("s3://bucket/real/sweep")
    first = machine(tmp_path / "first", store.url)
    while not any(key.endswith("manifest.json") for key in store.list("runs/")):
        assert first.poll() is None
        time.sleep(0.2)
    first.send_signal(signal.SIGTERM)
    assert first.wait() == ExitCode.INTERRUPTED
    assert machine(tmp_path / "second", store.url).wait() == ExitCode.OK
    records = {
        key: parsed_json(found.data, key)
        for key in store.list("runs/")
        if key.endswith("/record.json")
        and key.count("/") == 3
        and (found := store.read(key)) is not None
    }
    assert [record["status"] for record in records.values()] == ["ok"] * 2
    resumed = [r["result"]["resumed_from_step"] for r in records.values()]
    assert max(resumed) >= 1
    assert all(r["result"]["summary"]["steps"] == STEPS for r in records.values())
    kept = store.list()
    assert {"report/index.html", "tables/runs.parquet"} <= set(kept)
    assert not [key for key in kept if "/checkpoint/" in key]
    # Each of the seven images is in the store once, and the second machine worked with
    # copies of its own, named as they were.
    images = [key for key in kept if key.startswith("images/")]
    planned = [*list_images("bundled:train"), *list_images("bundled:eval")]
    assert len(images) == len(planned)
    carried = tmp_path / "second/scratch"
    assert {path.name for path in carried.rglob("carried/*/bundled/**/*.*")} == {
        path.name for path in planned
    }
