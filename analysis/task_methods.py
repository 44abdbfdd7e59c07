"""Methods of a task over their seeds: means, and how sure each of them is.

A point of a method is one of its settings, of all photographs that all of its seeds
answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.tables import LOCAL, REMOTE
from analysis.task_curves import of_photographs


@dataclass(frozen=True)
class TaskMeasure:
    """How well a task is answered.

    Attributes:
      name: a column of `task_results`.
      of_photograph: of `analysis.task_curves.MEASURES`.
      scale: from values of the table to those under `title`.
    """

    name: str
    of_photograph: str
    title: str
    scale: float = 1
    minimise: bool = False

    @property
    def error(self) -> str:
        """The column of its standard error."""
        return f"{self.name}_se"


TASK_MEASURES = (
    TaskMeasure("metric", "right", "right answers (%)", 100),
    TaskMeasure("teacher_agreement", "agrees", "agreement with the teacher (%)", 100),
    TaskMeasure("kl", "kl_nats", "divergence from the teacher (nats)", minimise=True),
)
# Of the first measure, by task.
METRICS = {
    "classification": "right answers",
    "segmentation": "mean IoU",
    "detection": "box mAP",
}
_KEYS = ["dataset", "task", "label", "method", "setting", "run_id"]


def measure_title(measure: TaskMeasure, tasks: Iterable[str]) -> str:
    """For people, of methods of these tasks."""
    if measure is not TASK_MEASURES[0]:
        return measure.title
    return " or ".join(METRICS[task] for task in dict.fromkeys(tasks)) + " (%)"


@dataclass(frozen=True)
class Estimate:
    value: float
    se: float


@dataclass(frozen=True, eq=False)
class TaskMethod:
    """A method at one setting, with its answers.

    Attributes:
      label: of its settings together, see `analysis.task_curves.label_of`.
      run_id: of a codec trained by a sweep, else empty.
      bytes_per_datum, encoder_bits, encoder_kmacs_per_px, exr: None where it has no
        such thing or nobody counted it.
      values: by `analysis.task_curves.MEASURES`, f64[seeds, photographs] by name.
      teacher: right answers of the teacher, f64[1, photographs]; NaN where the metric
        is of the set.
      is_of_set: whether the metric is of all photographs together, and has no error.
    """

    dataset: str
    task: str
    label: str
    method: str
    setting: str
    run_id: str
    seeds: int
    image_count: int
    bytes_per_datum: float | None
    encoder_bits: float | None
    encoder_kmacs_per_px: float | None
    tail_kmacs_per_px: float | None
    exr: float | None
    values: dict[str, pd.DataFrame]
    teacher: pd.DataFrame
    is_of_set: bool

    @cached_property
    def right(self) -> Estimate:
        return estimate(self.values["right"])

    @cached_property
    def lost(self) -> Estimate:
        """Right answers that the teacher has more."""
        return estimate(self.teacher, self.values["right"])


def estimate(values: pd.DataFrame, other: pd.DataFrame | None = None) -> Estimate:
    """Mean over seeds and photographs, of two tables that of the difference.

    The standard error is of other photographs, answered by these seeds' mean, and of
    other seeds of each side that has several.

    Args:
      values, other: f64[seeds, photographs]; photographs that both have count.
    """
    sides = [values] if other is None else list(values.align(other, "inner", axis=1))
    signs = (1, -1)[: len(sides)]
    means = sum(
        sign * side.mean().to_numpy() for sign, side in zip(signs, sides, strict=True)
    )
    variance = np.var(means) / len(means) + sum(
        side.mean(axis=1).var() / len(side) for side in sides if len(side) > 1
    )
    return Estimate(float(np.mean(means)), float(np.sqrt(variance)))


def task_methods(answers: pd.DataFrame) -> list[TaskMethod]:
    """Of the table `task_answers`, by task, label and bytes; also remote and local."""
    rows = of_photographs(answers)
    rows["run_id"] = rows["run_id"].fillna("")
    found = [
        _method(dict(zip(_KEYS, key, strict=True)), own)
        for key, own in rows.groupby(_KEYS, sort=True)
    ]
    return sorted(found, key=_order)


def _order(method: TaskMethod) -> tuple[str, str, str, float]:
    return method.dataset, method.task, method.label, method.bytes_per_datum or 0


def _method(facts: dict[str, str], rows: pd.DataFrame) -> TaskMethod:
    tables = {
        name: rows.pivot_table(
            index="seed", columns="photograph", values=name, dropna=False
        )
        for name in (*(m.of_photograph for m in TASK_MEASURES), "teacher_right")
    }
    whole = tables["right"].notna().all()
    tables = {name: table.loc[:, whole] for name, table in tables.items()}
    answered = rows[rows["photograph"].isin(whole.index[whole])]
    size = _or_none(answered["bytes"].mean())
    bits, encoder, tail = (
        _or_none(rows[name].iloc[0])
        for name in ("encoder_bits", "encoder_kmacs_per_px", "tail_kmacs_per_px")
    )
    return TaskMethod(
        **facts,
        seeds=len(tables["right"]),
        image_count=int(whole.sum()),
        bytes_per_datum=size,
        encoder_bits=bits,
        encoder_kmacs_per_px=encoder,
        tail_kmacs_per_px=tail,
        exr=None if bits is None or size is None else bits * size,
        teacher=tables.pop("teacher_right").iloc[:1],
        values=tables,
        is_of_set=bool(rows["set_metric"].notna().any()),
    )


def _or_none(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def methods_table(methods: Sequence[TaskMethod]) -> pd.DataFrame:
    """A row a method and setting, with measures as in `task_results`, their standard
    errors, and right answers lost against the teacher.
    """
    names = [
        field.name
        for field in fields(TaskMethod)
        if field.name not in ("values", "teacher", "is_of_set")
    ]
    rows = []
    for method in methods:
        row = {name: getattr(method, name) for name in names}
        for measure in TASK_MEASURES:
            own = estimate(method.values[measure.of_photograph])
            has_error = not (method.is_of_set and measure.name == "metric")
            se = own.se if has_error else None
            row |= {measure.name: own.value, measure.error: se}
        rows.append({**row, "lost": method.lost.value, "lost_se": method.lost.se})
    return pd.DataFrame(rows)


def compared(methods: Sequence[TaskMethod]) -> list[TaskMethod]:
    """Of methods of one task, those that answered as many photographs as any."""
    most = max((method.image_count for method in methods), default=0)
    return [method for method in methods if method.image_count == most]


def is_reference(method: TaskMethod) -> bool:
    """Whether nothing stands between device and teacher."""
    return method.method in (REMOTE, LOCAL)
