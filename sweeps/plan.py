"""The plan of a sweep: its runs, what they cost, and `plan.parquet`."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rdc.errors import ConfigError, StorageError
from rdc.identity import canonical_json
from rdc.jobs.job import TrainJob
from rdc.registry import arch_id, parse_architecture
from rdc.specs.base import require
from rdc.specs.components import ArchitectureSpec
from rdc.specs.training import TrainSpec
from rdc.system.files import write_bytes_atomically
from sweeps.grid import COST_COLUMNS, Grid, expand
from sweeps.points import Options, Point, registry_options

PLAN_FILE = "plan.parquet"
# The cost columns of one architecture and "components_json".
Cost = Mapping[str, Any]
CountCost = Callable[[ArchitectureSpec], Cost]

SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("arch_id", pa.string()),
        ("name", pa.string()),
        ("family", pa.string()),
        ("transform", pa.string()),
        ("entropy_model", pa.string()),
        ("hyper_transform", pa.string()),
        ("config_json", pa.string()),
        ("train_json", pa.string()),
        ("lmbda", pa.float64()),
        ("steps", pa.int64()),
        ("batch_size", pa.int64()),
        ("crop_px", pa.int64()),
        ("seed", pa.int64()),
        ("data_sha256", pa.string()),
        ("params_total", pa.int64()),
        ("params_decoder", pa.int64()),
        ("kmacs_per_px", pa.float64()),
        ("kflops_per_px", pa.float64()),
        ("kmacs_per_px_encode", pa.float64()),
        ("decoder_peak_bytes_per_px", pa.float64()),
        ("components_json", pa.string()),
    ]
)


@dataclass(frozen=True)
class Run:
    """One training of the plan."""

    job: TrainJob
    run_id: str
    arch_id: str
    name: str | None
    cost: Cost | None = None

    def row(self) -> dict[str, Any]:
        """As in `plan.parquet`; cost columns are None where nothing was counted."""
        architecture, train = self.job.architecture, self.job.train
        hyper = architecture.hyper_transform
        cost = self.cost or {}
        return {
            "run_id": self.run_id,
            "arch_id": self.arch_id,
            "name": self.name,
            "family": architecture.family,
            "transform": architecture.transform.name,
            "entropy_model": architecture.entropy_model.name,
            "hyper_transform": hyper.name if hyper else None,
            "config_json": canonical_json(architecture.to_dict()),
            "train_json": canonical_json(train.to_dict()),
            "lmbda": train.lmbda,
            "steps": train.steps,
            "batch_size": train.batch_size,
            "crop_px": train.crop_px,
            "seed": train.seed,
            "data_sha256": self.job.data_sha256,
            **{key: cost.get(key) for key in (*COST_COLUMNS, "components_json")},
        }

    def training_flops(self) -> float | None:
        """Floating-point operations of all steps: backward costs twice forward.

        Training runs every component once, also those that are on both sides.
        """
        if self.cost is None:
            return None
        parts = json.loads(self.cost["components_json"])
        macs_per_px = sum({p["component"]: p["macs_per_px"] for p in parts}.values())
        train = self.job.train
        pixels = train.steps * train.batch_size * train.crop_px**2
        return 3 * 2 * macs_per_px * pixels


@dataclass(frozen=True)
class Plan:
    """The runs of a grid, each once, and how many points fell away.

    Attributes:
      duplicates: points equal to an earlier one.
      excluded: points that an `exclude` entry removed.
      over_cost: runs that the constraints removed.
    """

    grid: str
    runs: tuple[Run, ...]
    duplicates: int = 0
    excluded: int = 0
    over_cost: int = 0


def make_plan(
    grid: Grid,
    train: Mapping[str, Any],
    data_sha256: str,
    *,
    options: Options = registry_options,
    names: Mapping[str, str] | None = None,
    count_cost: CountCost | None = None,
) -> Plan:
    """Expands a grid into runs, each `run_id` once.

    Args:
      train: the recipe of the configuration; axes of the grid change it.
      data_sha256: of the training images.
      options: the plain data of one option of a group.
      names: arch_id to name, for architectures that have one.
      count_cost: counts one architecture; called once each. None leaves the cost
        columns empty, which a grid with constraints refuses.

    Raises:
      ConfigError: an impossible point, or another number of runs than expected.
    """
    require(
        count_cost is not None or not grid.constraints,
        "grid.constraints need the stage complexity",
        ", ".join(grid.constraints),
        "add complexity to stages",
    )
    runs: dict[str, Run] = {}
    duplicates = excluded = 0
    unused = {(i, j) for i, b in enumerate(grid.blocks) for j in range(len(b.exclude))}
    parse = _Parser(train, data_sha256, names or {})
    for assignments in expand(grid):
        try:
            point = Point(options)
            point.assign(assignments)
            entries = grid.blocks[assignments.block].exclude
            hits = {
                (assignments.block, j)
                for j, entry in enumerate(entries)
                if point.matches(entry)
            }
            if hits:
                unused -= hits
                excluded += 1
                continue
            run = parse(point)
        except ConfigError as error:
            raise ConfigError(
                f"grid {grid.name}, {assignments}: {error.rule}",
                error.value,
                error.remedy,
            ) from None
        duplicates += run.run_id in runs
        runs.setdefault(run.run_id, run)
    for block, entry in sorted(unused):
        raise ConfigError(
            "every exclude entry removes at least one point",
            f"grid.blocks[{block}].exclude[{entry}] = "
            f"{grid.blocks[block].exclude[entry]}",
            "correct or delete it",
        )
    kept = _priced(runs.values(), grid, count_cost)
    require(
        grid.expect.jobs in (None, len(kept)),
        f"grid {grid.name} comes to grid.expect.jobs = {grid.expect.jobs} runs",
        len(kept),
        "correct the axes, or the expectation",
    )
    require(len(kept) > 0, f"grid {grid.name} comes to at least one run", 0)
    return Plan(grid.name, kept, duplicates, excluded, len(runs) - len(kept))


class _Parser:
    """Parses points; equal architectures and equal recipes are parsed once."""

    def __init__(
        self, train: Mapping[str, Any], data_sha256: str, names: Mapping[str, str]
    ):
        self._train, self._data_sha256, self._names = train, data_sha256, names
        self._architectures: dict[str, tuple[ArchitectureSpec, str]] = {}
        self._recipes: dict[str, TrainSpec] = {}

    def __call__(self, point: Point) -> Run:
        key = canonical_json(point.architecture)
        if key not in self._architectures:
            architecture = parse_architecture(point.architecture)
            self._architectures[key] = architecture, arch_id(architecture)
        architecture, identity = self._architectures[key]
        key = canonical_json(point.train)
        if key not in self._recipes:
            recipe = {**self._train, **point.train}
            self._recipes[key] = TrainSpec.from_dict(recipe, "train")
        job = TrainJob(
            architecture=architecture,
            train=self._recipes[key],
            data_sha256=self._data_sha256,
        )
        return Run(job, job.job_id, identity, self._names.get(identity))


def _priced(runs: Any, grid: Grid, count_cost: CountCost | None) -> tuple[Run, ...]:
    if count_cost is None:
        return tuple(runs)
    costs: dict[str, Cost] = {}
    kept = []
    for run in runs:
        if run.arch_id not in costs:
            costs[run.arch_id] = count_cost(run.job.architecture)
        cost = costs[run.arch_id]
        if all(bounds.allow(cost[k]) for k, bounds in grid.constraints.items()):
            kept.append(dataclasses.replace(run, cost=cost))
    return tuple(kept)


def with_costs(plan: Plan, costs: Mapping[str, Cost]) -> Plan:
    """The plan with the costs that are known by arch_id."""
    runs = (dataclasses.replace(r, cost=costs.get(r.arch_id)) for r in plan.runs)
    return dataclasses.replace(plan, runs=tuple(runs))


def write_plan(out: Path, plan: Plan) -> Path:
    """Writes `OUT/plan.parquet`, one row per run."""
    table = pa.Table.from_pylist([run.row() for run in plan.runs], schema=SCHEMA)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    path = Path(out) / PLAN_FILE
    write_bytes_atomically(path, buffer.getvalue())
    return path


def read_plan(out: Path) -> list[dict[str, Any]]:
    """The rows of `OUT/plan.parquet`; none where there is no such file.

    Raises:
      StorageError: the file is damaged.
    """
    path = Path(out) / PLAN_FILE
    if not path.exists():
        return []
    try:
        return pq.read_table(path).to_pylist()
    except pa.ArrowException as error:
        raise StorageError(
            f"{path} is a parquet file", error, "delete it; it is derived"
        ) from error


def runs_of(rows: Iterable[Mapping[str, Any]]) -> list[Run]:
    """The runs that the rows of an earlier plan describe."""
    costs = known_costs(rows)
    return [
        Run(
            TrainJob(
                architecture=parse_architecture(json.loads(row["config_json"])),
                train=TrainSpec.from_dict(json.loads(row["train_json"]), "train"),
                data_sha256=row["data_sha256"],
            ),
            row["run_id"],
            row["arch_id"],
            row["name"],
            costs.get(row["arch_id"]),
        )
        for row in rows
    ]


def known_costs(rows: Iterable[Mapping[str, Any]]) -> dict[str, Cost]:
    """Counted costs by arch_id, from the rows of an earlier plan."""
    keys = (*COST_COLUMNS, "components_json")
    return {
        row["arch_id"]: {key: row[key] for key in keys}
        for row in rows
        if row["components_json"] is not None
    }


def components_json(components: list[dict[str, Any]]) -> str:
    """The column of that name: side, component, params and macs_per_px each."""
    return json.dumps(components, separators=(",", ":"))
