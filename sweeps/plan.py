"""The plan of a sweep: its runs and what they cost."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from rdc.errors import ConfigError
from rdc.identity import canonical_json
from rdc.jobs.job import TrainJob
from rdc.jobs.plan_row import Cost, PlanRow
from rdc.registry import arch_id, parse_architecture
from rdc.specs.base import require
from rdc.specs.components import ArchitectureSpec
from rdc.specs.model import ModelSpec
from rdc.specs.recipe import Recipe
from sweeps.grid import Assignments, Grid, expand
from sweeps.points import Options, Point, registry_options
from sweeps.settings import TrainSettings

_LEAST_DIGITS = 6  # of an id that is written in part
CountCost = Callable[[ArchitectureSpec], Cost]


@dataclass(frozen=True)
class Run:
    """One training of the plan.

    Attributes:
      name: of the architecture, where it has one.
      cost: None where nothing was counted.
    """

    job: TrainJob
    name: str | None
    cost: Cost | None = None

    @property
    def model(self) -> ModelSpec:
        return self.job.model

    @cached_property
    def run_id(self) -> str:
        return self.model.run_id

    @cached_property
    def curve_id(self) -> str:
        return self.model.curve_id

    @property
    def arch_id(self) -> str:
        return _described(self.model.architecture)[0]

    @property
    def title(self) -> str:
        """For people: the name of the architecture, or its family."""
        return self.name or self.model.architecture.family

    def is_called(self, name: str) -> bool:
        """Whether an id of it begins so."""
        return self.run_id.startswith(name) or self.arch_id.startswith(name)

    def row(self) -> PlanRow:
        """As in `plan.parquet`."""
        model, recipe = self.model, self.model.recipe
        architecture = model.architecture
        hyper = architecture.hyper_transform
        cost = {} if self.cost is None else self.cost.to_dict()
        return PlanRow(
            run_id=self.run_id,
            curve_id=self.curve_id,
            arch_id=self.arch_id,
            name=self.name,
            family=architecture.family,
            transform=architecture.transform.name,
            entropy_model=architecture.entropy_model.name,
            hyper_transform=hyper.name if hyper else None,
            config_json=_described(architecture)[1],
            recipe_json=_json_of(recipe),
            rates=model.rates,
            init_from=model.init_from,
            steps=recipe.steps,
            batch_size=recipe.batch_size,
            crop_px=recipe.crop_px,
            seed=recipe.seed,
            distortion=recipe.distortion,
            precision=recipe.precision,
            data_sha256=model.data_sha256,
            **cost,
        )

    @classmethod
    def of_row(cls, row: PlanRow) -> Run:
        """The run that `row` was made from."""
        model = ModelSpec(
            architecture=parse_architecture(json.loads(row.config_json)),
            recipe=Recipe.from_dict(json.loads(row.recipe_json), "recipe"),
            rates=row.rates,
            data_sha256=row.data_sha256,
            init_from=row.init_from,
        )
        return cls(TrainJob(model=model), row.name, row.cost)

    def training_flops(self) -> float | None:
        """Floating-point operations of all steps: backward costs twice forward.

        Training runs every component once, also those that are on both sides.
        """
        if self.cost is None:
            return None
        parts = json.loads(self.cost.components_json)
        macs_per_px = sum({p["component"]: p["macs_per_px"] for p in parts}.values())
        recipe = self.model.recipe
        pixels = recipe.steps * recipe.batch_size * recipe.crop_px**2
        return 3 * 2 * macs_per_px * pixels


# Runs of a large plan share few architectures and recipes.
@lru_cache(maxsize=4096)
def _described(architecture: ArchitectureSpec) -> tuple[str, str]:
    """(`arch_id`, `config_json`)"""
    return arch_id(architecture), canonical_json(architecture.to_dict())


@lru_cache(maxsize=4096)
def _json_of(recipe: Recipe) -> str:
    return canonical_json(recipe.to_dict())


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
      train: the group `train` of the configuration; axes of the grid change it.
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
    parse = _Parser(train, data_sha256, names or {}, options)
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
            run = parse(assignments)
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
    _check_teachers(grid, runs)
    kept = _priced(runs.values(), grid, count_cost)
    require(
        grid.expect.jobs in (None, len(kept)),
        f"grid {grid.name} comes to grid.expect.jobs = {grid.expect.jobs} runs",
        len(kept),
        "correct the axes, or the expectation",
    )
    none = not kept and bool(grid.blocks)  # without blocks, there are none to be had
    require(not none, f"grid {grid.name} comes to at least one run", 0)
    return Plan(grid.name, kept, duplicates, excluded, len(runs) - len(kept))


def _check_teachers(grid: Grid, runs: Mapping[str, Run]) -> None:
    for run in runs.values():
        require(
            run.model.init_from in (None, *runs),
            f"the teachers of grid {grid.name} are runs of it",
            f"that of {run.title} {run.run_id[:8]} is not",
            "add its point to a block",
        )
        if run.model.init_from is not None:
            teacher = runs[run.model.init_from].model
            try:
                run.model.check_teacher(teacher.architecture, len(teacher.rates))
            except ConfigError as error:
                raise ConfigError(
                    f"grid {grid.name}, run {run.run_id[:8]}: {error.rule}",
                    error.value,
                    error.remedy,
                ) from None


class _Parser:
    """Parses points; equal architectures and equal settings are parsed once."""

    def __init__(
        self,
        train: Mapping[str, Any],
        data_sha256: str,
        names: Mapping[str, str],
        options: Options,
    ):
        self._train, self._data_sha256, self._names = train, data_sha256, names
        self._options = options
        self._architectures: dict[str, ArchitectureSpec] = {}
        self._settings: dict[str, tuple[Recipe, tuple[float, ...]]] = {}

    def __call__(self, assignments: Assignments) -> Run:
        point = Point(self._options)
        point.assign(assignments)
        teacher = point.train.pop("teacher", self._train.get("teacher"))
        start = None
        if teacher is not None:
            require(
                isinstance(teacher, Mapping),
                "train.teacher in a grid is what the teacher's point has other than "
                "this one",
                repr(teacher),
                "write train.teacher: {architecture: NAME}",
            )
            start = self(assignments.changed(teacher)).run_id
        key = canonical_json(point.architecture)
        if key not in self._architectures:
            self._architectures[key] = parse_architecture(point.architecture)
        architecture = self._architectures[key]
        has_teacher = "" if start else None
        key = canonical_json({**point.train, "teacher": has_teacher})
        if key not in self._settings:
            values = {**self._train, **point.train, "teacher": has_teacher}
            settings = TrainSettings.from_dict(values)
            self._settings[key] = settings.recipe, settings.lmbda
        recipe, rates = self._settings[key]
        model = ModelSpec(
            architecture=architecture,
            recipe=recipe,
            rates=rates,
            data_sha256=self._data_sha256,
            init_from=start,
        )
        name = self._names.get(_described(architecture)[0])
        return Run(TrainJob(model=model), name)


def _priced(
    runs: Iterable[Run], grid: Grid, count_cost: CountCost | None
) -> tuple[Run, ...]:
    if count_cost is None:
        return tuple(runs)
    costs: dict[str, Cost] = {}
    kept = []
    for run in runs:
        if run.arch_id not in costs:
            costs[run.arch_id] = count_cost(run.model.architecture)
        cost = costs[run.arch_id]
        bounds = grid.constraints.items()
        if all(bound.allow(getattr(cost, column)) for column, bound in bounds):
            kept.append(dataclasses.replace(run, cost=cost))
    return tuple(kept)


def chosen(plan: Plan, ids: Sequence[str]) -> Plan:
    """The plan with the runs of these ids alone; all of it for none.

    Args:
      ids: of runs or architectures, or how they begin, with six digits at least.

    Raises:
      ConfigError: an id that is too short, or of no run.
    """
    if not ids:
        return plan
    for name in ids:
        require(len(name) >= _LEAST_DIGITS, "only has six digits of an id", repr(name))
        require(
            any(run.is_called(name) for run in plan.runs),
            f"only names runs or architectures of grid {plan.grid}",
            name,
            "plan_only=true writes them to plan.parquet",
        )
    runs = (run for run in plan.runs if any(map(run.is_called, ids)))
    return dataclasses.replace(plan, runs=tuple(runs))


def with_costs(plan: Plan, costs: Mapping[str, Cost]) -> Plan:
    """The plan with the costs that are known by arch_id."""
    runs = (dataclasses.replace(r, cost=costs.get(r.arch_id)) for r in plan.runs)
    return dataclasses.replace(plan, runs=tuple(runs))
