"""Counted costs of architectures, kept from one planning to the next."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from launch.outputs import read_sweep
from rdc.environment import git_sha
from rdc.registry import arch_id
from rdc.specs.components import ArchitectureSpec
from sweeps.grid import COST_COLUMNS
from sweeps.plan import Cost, CountCost, components_json, known_costs, read_plan


@contextlib.contextmanager
def cost_counter(out: Path) -> Iterator[CountCost]:
    """Counts with `rdc.complexity`, or finds the figures in `OUT/plan.parquet`.

    Earlier figures are used only where the same clean commit counted them. JAX runs
    in a process of its own: the driver forks later, which JAX's threads forbid.
    """
    sweep, sha = read_sweep(out), git_sha()
    known: dict[str, Cost] = {}
    if sweep is not None and sha is not None and not sha.endswith("-dirty"):
        known = known_costs(read_plan(out)) if sweep["git_sha"] == sha else {}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=_use_cpu) as pool:

        def count(architecture: ArchitectureSpec) -> Cost:
            identity = arch_id(architecture)
            if identity not in known:
                known[identity] = pool.submit(_count, architecture).result()
            return known[identity]

        yield count


def _use_cpu() -> None:
    # Shapes alone are traced; the accelerator is left to the jobs.
    os.environ["JAX_PLATFORMS"] = "cpu"


def _count(architecture: ArchitectureSpec) -> Cost:
    from rdc.complexity import count

    cost = count(architecture)
    components = [
        {
            "side": part.side,
            "component": part.component,
            "params": part.params,
            "macs_per_px": part.macs_per_px,
        }
        for part in cost.by_component
    ]
    figures = {column: getattr(cost, column) for column in COST_COLUMNS}
    return {**figures, "components_json": components_json(components)}
