"""OUT of a sweep: whose it is, and `sweep.json`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from rdc.errors import ConfigError, StorageError
from rdc.jobs.job import TrainJob
from rdc.system.environment import git_sha
from rdc.system.files import read_json, write_json_atomically
from sweeps.lease import LEASE_FILE
from sweeps.plan import PLAN_FILE, Plan, read_plan
from sweeps.state import set_aside

SWEEP_FILE = "sweep.json"
SWEEP_SCHEMA_VERSION = 1
_VERSIONED = ("rdc-frontier", "jax", "flax", "ray", "numpy")
_REMEDY = "choose another out=DIR, or give the grid and options of that sweep"


def check_out(out: Path, plan: Plan) -> None:
    """Makes sure that OUT is new or belongs to this sweep. Changes nothing.

    Raises:
      ConfigError: OUT holds something else.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError("out is a folder", out)
    if not out.exists() or not any(out.iterdir()):
        return
    sweep = read_sweep(out)
    if sweep is None and not (out / TrainJob.folder_name).exists():
        # At most planned so far.
        own = {PLAN_FILE, LEASE_FILE, SWEEP_FILE}
        foreign = {p.name for p in out.iterdir() if not p.name.startswith(".")} - own
        if foreign:
            raise ConfigError(
                "out is new, empty, or the folder of an earlier sweep",
                f"{out} with {', '.join(sorted(foreign)[:3])}",
                "choose another out=DIR",
            )
        return
    if sweep is not None and sweep.get("grid") != plan.grid:
        raise ConfigError(
            f"{out} belongs to grid {plan.grid}", f"grid {sweep.get('grid')}", _REMEDY
        )
    runs = {run.run_id for run in plan.runs}
    others = [row for row in read_plan(out) if row["run_id"] not in runs]
    if others:
        raise ConfigError(
            f"the runs in {out} are part of this sweep",
            f"{len(others)} runs of other architectures, training options or data, as "
            f"{others[0]['family']} with {others[0]['train_json']}",
            _REMEDY,
        )


def read_sweep(out: Path) -> dict[str, Any] | None:
    """`sweep.json`; None where it is missing or damaged."""
    try:
        return read_json(out / SWEEP_FILE)
    except (FileNotFoundError, StorageError):
        return None


def write_sweep(
    out: Path,
    plan: Plan,
    config: Mapping[str, Any],
    *,
    hardware: Mapping[str, Any],
    datasets: Mapping[str, Any],
) -> None:
    """Writes `sweep.json`; the time of the first start stays."""
    path = out / SWEEP_FILE
    earlier = read_sweep(out)
    if earlier is None and path.exists():
        set_aside(path, "damaged")
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sweep = {
        "schema_version": SWEEP_SCHEMA_VERSION,
        "grid": plan.grid,
        "config": config,
        "versions": {name: metadata.version(name) for name in _VERSIONED},
        "git_sha": git_sha(),
        "hardware": dict(hardware),
        "created_at": earlier["created_at"] if earlier else now,
        "stages": list(config["stages"]),
        "datasets": datasets,
    }
    if earlier != sweep:
        write_json_atomically(path, sweep)
