"""Counted costs of architectures, kept from one planning to the next."""

from __future__ import annotations

from pathlib import Path

from launch.outputs import read_sweep
from rdc.environment import git_sha
from rdc.registry import arch_id
from rdc.specs.components import ArchitectureSpec
from sweeps.grid import COST_COLUMNS
from sweeps.plan import Cost, CountCost, components_json, known_costs, read_plan


def cost_counter(out: Path) -> CountCost:
    """Counts with `rdc.complexity`, or finds the figures in `OUT/plan.parquet`.

    Earlier figures are used only where the same clean commit counted them.
    """
    sweep, sha = read_sweep(out), git_sha()
    same_code = sweep is not None and sha is not None and sweep["git_sha"] == sha
    known = {}
    if same_code and not sha.endswith("-dirty"):
        known = known_costs(read_plan(out))

    def count(architecture: ArchitectureSpec) -> Cost:
        identity = arch_id(architecture)
        if identity not in known:
            known[identity] = _count(architecture)
        return known[identity]

    return count


def _count(architecture: ArchitectureSpec) -> Cost:
    import jax

    # Shapes alone are traced; the accelerator is left to the jobs.
    jax.config.update("jax_platforms", "cpu")
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
