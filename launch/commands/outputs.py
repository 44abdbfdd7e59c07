"""OUT of a sweep: whose it is, and `sweep.json`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from launch.config.roots import absolute
from rdc.errors import ConfigError
from rdc.identity import NUMERICS_VERSION
from rdc.jobs.job import TrainJob
from rdc.jobs.layout import (
    IMAGE_SETS_FOLDER,
    OUT_SCHEMA_VERSION,
    PLAN_FILE,
    PROPOSAL_FILE,
    STATUS_FILE,
    SWEEP_FILE,
    TABLES_FOLDER,
)
from rdc.system.code import code_sha256, git_sha
from rdc.system.store import Store, is_url
from sweeps.lease import LEASE_FILE
from sweeps.migration import VERSION_1_FOLDER, read_sweep
from sweeps.outputs import Outputs
from sweeps.plan import Plan
from sweeps.plan_file import read_plan
from sweeps.stored_outputs import StoredOutputs

_VERSIONED = ("rdc-frontier", "jax", "flax", "ray", "numpy")
_REMEDY = "choose another out=DIR, or give the grid and options of that sweep"


def open_outputs(out: str, scratch: str = "/") -> Outputs:
    """OUT: a folder, or a store that was tried, with all of its files in the copy.

    Those of jobs that the copy had may have changed since: `refresh` tells.

    Args:
      scratch: of the nodes, where jobs are to start.

    Raises:
      ConfigError: a scheme or store that cannot hold a sweep.
      StorageError: it does not answer.
    """
    if not is_url(out):
        return Outputs(absolute(out))
    store = Store(out)
    store.check()
    outputs = StoredOutputs(store, Path(scratch))
    outputs.refresh(again=False)
    return outputs


def check_out(out: Path, plan: Plan, migrates: bool = False) -> None:
    """Makes sure that OUT is new or belongs to this sweep. Changes nothing.

    Args:
      migrates: it is of an earlier version, and will be made one of this.

    Raises:
      ConfigError: OUT holds something else, or results of another version.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError("out is a folder", out)
    if not out.exists() or not any(out.iterdir()):
        return
    sweep = read_sweep(out)
    if sweep is None and not (out / TrainJob.folder_name).exists():
        # At most planned so far, and asked what to train.
        own = {PLAN_FILE, LEASE_FILE, SWEEP_FILE, STATUS_FILE, PROPOSAL_FILE}
        own |= {IMAGE_SETS_FOLDER, VERSION_1_FOLDER, TABLES_FOLDER}
        foreign = {p.name for p in out.iterdir() if not p.name.startswith(".")} - own
        if foreign:
            raise ConfigError(
                "out is new, empty, or the folder of an earlier sweep",
                f"{out} with {', '.join(sorted(foreign)[:3])}",
                "choose another out=DIR",
            )
        return
    if not migrates:
        check_numerics(out)
    if sweep is not None and sweep.get("grid") != plan.grid:
        raise ConfigError(
            f"{out} belongs to grid {plan.grid}", f"grid {sweep.get('grid')}", _REMEDY
        )
    if migrates:
        return
    runs = {run.run_id for run in plan.runs}
    others = [row for row in read_plan(out) if row.run_id not in runs]
    if others:
        raise ConfigError(
            f"the runs in {out} are part of this sweep",
            f"{len(others)} runs of other architectures, training options or data, as "
            f"{others[0].family} with {others[0].recipe_json}",
            _REMEDY,
        )


def check_sweep(out: Path) -> None:
    """Makes sure that OUT is the folder of a sweep that this program can read.

    Raises:
      ConfigError: it is not.
    """
    if not (out / PLAN_FILE).exists():
        raise ConfigError(
            "out is the folder of a sweep",
            f"{out} without {PLAN_FILE}",
            "give the out=DIR of a sweep that was started",
        )
    check_version(out)


def check_version(out: Path) -> None:
    """Makes sure that this version of the program can read OUT. Changes nothing.

    Raises:
      ConfigError: another version wrote it.
    """
    sweep = read_sweep(out)
    if sweep is None:
        read_plan(out)  # says so where its columns are others
        return
    version = sweep.get("schema_version")
    if isinstance(version, int) and version > OUT_SCHEMA_VERSION:
        raise ConfigError(
            f"results are of version {OUT_SCHEMA_VERSION} of this program's layout",
            f"version {version} in {out}",
            "work there with the newer program that wrote them, or choose another "
            "out=DIR",
        )
    if version != OUT_SCHEMA_VERSION:
        raise ConfigError(
            f"results are of version {OUT_SCHEMA_VERSION} of this program's layout",
            f"version {version} in {out}",
            "choose another out=DIR, and train there; the version of the program that "
            "wrote these results still reads them",
        )


def check_numerics(out: Path) -> None:
    """Makes sure that models in OUT mean what they mean here. Changes nothing.

    Raises:
      ConfigError: they were planned under another numerics version.
    """
    check_version(out)
    sweep = read_sweep(out)
    if sweep is not None and sweep.get("numerics_version") != NUMERICS_VERSION:
        raise ConfigError(
            f"the models in {out} are of numerics version {NUMERICS_VERSION}",
            f"version {sweep.get('numerics_version')}: the outputs of their networks "
            "meant something else, so that each would be another run here",
            "choose another out=DIR, and train there; launch/report.py still shows "
            "these results",
        )


def write_sweep(
    outputs: Outputs,
    plan: Plan,
    config: Mapping[str, Any],
    *,
    hardware: Mapping[str, Any],
    datasets: Mapping[str, Any],
) -> None:
    """Writes `sweep.json`; the time of the first start stays."""
    path = outputs.folder / SWEEP_FILE
    earlier = read_sweep(outputs.folder)
    if earlier is None and path.exists():
        outputs.set_aside(path, "damaged")
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sweep = {
        "schema_version": OUT_SCHEMA_VERSION,
        "numerics_version": NUMERICS_VERSION,
        "grid": plan.grid,
        "config": config,
        "versions": {name: _version(name) for name in _VERSIONED},
        "git_sha": git_sha(),
        "code_sha256": code_sha256(),
        "hardware": dict(hardware),
        "created_at": earlier["created_at"] if earlier else now,
        "stages": list(config["stages"]),
        "datasets": datasets,
    }
    if earlier != sweep:
        outputs.write_json(path, sweep)


def _version(package: str) -> str | None:
    """None where it is not installed, as a library that only other commands need."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
