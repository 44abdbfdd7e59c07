"""When a task is served by a codec, by a student, or by the device itself, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.tables import LOCAL, REMOTE
from analysis.task_methods import (
    METRICS,
    Estimate,
    TaskMethod,
    compared,
    estimate,
    is_reference,
)

# What stands above the sentences.
EXPLAINED = (
    "The most right answers within a budget of bytes of a photograph, on average. +- "
    "is one standard error over photographs and seeds; methods whose difference is "
    "less than two of its own are not told apart. The best of several is flattered by "
    "the choice."
)
BUDGETS_BYTES = (200, 500, 1000, 2000, 4000)
DEVICE = "the device itself"
# How names of methods begin; every other one is a codec of the photograph.
KINDS = {
    "features": "a codec of features",
    "student": "a student",
    "end_to_end": "a network trained end to end",
    "placement": "a prior inside the teacher",
    "reduction": "channel reduction",
}
_CODEC = "a codec"
_DOUBT = 2  # standard errors within which two methods are not told apart


@dataclass(frozen=True)
class TaskVerdict:
    """The method with most right answers within a budget.

    Attributes:
      budget_bytes: of a photograph, on average.
      best: None where no method sends so little.
      alike: of the other methods the best setting within the budget, where it is not
        told apart from the best.
      local: the whole network on the device, None where it was not measured.
      remote: the teacher, which is sent the photographs; None as before.
    """

    budget_bytes: int
    best: TaskMethod | None
    alike: tuple[TaskMethod, ...]
    local: TaskMethod | None
    remote: TaskMethod | None = None

    @property
    def who(self) -> str:
        """Who should answer: all that are not told apart."""
        if self.best is None or _costs_less(self.local, self.best):
            return DEVICE
        return " or ".join(dict.fromkeys(map(_kind, (self.best, *self.alike))))

    @property
    def text(self) -> str:
        within = f"Within {_bytes(self.budget_bytes)}"
        if self.best is None:
            return f"{within}: no method sends so little."
        best = self.best
        seeds = "" if best.seeds == 1 else f", {best.seeds} seeds"
        names = "; ".join(map(_name, self.alike))
        alike = f" Not told apart from it: {names}." if names else ""
        return (
            f"{within}: {_name(best)} ({best.bytes_per_datum:,.0f} B{seeds}), "
            f"{_answered(best, self.remote)}. "
            f"{_cost(best, self.local)}{alike}"
        )


def task_verdicts(
    methods: Sequence[TaskMethod], budgets_bytes: Sequence[int] = BUDGETS_BYTES
) -> list[TaskVerdict]:
    """A verdict a budget.

    Args:
      methods: of one task; those with fewer photographs than others do not compare.
    """
    whole = compared(methods)
    local, remote = (
        next((m for m in whole if m.method == name), None) for name in (LOCAL, REMOTE)
    )
    sent = [m for m in whole if not is_reference(m)]
    return [_verdict(sent, budget, local, remote) for budget in budgets_bytes]


def _verdict(
    methods: Sequence[TaskMethod],
    budget: int,
    local: TaskMethod | None,
    remote: TaskMethod | None,
) -> TaskVerdict:
    by_label: dict[tuple[str, str], TaskMethod] = {}
    for method in methods:
        if method.bytes_per_datum is None or method.bytes_per_datum > budget:
            continue
        key = method.label, method.run_id
        by_label[key] = max(by_label.get(key, method), method, key=_rank)
    if not by_label:
        return TaskVerdict(budget, None, (), local, remote)
    best, *others = sorted(by_label.values(), key=_rank, reverse=True)
    alike = tuple(other for other in others if not _are_told_apart(best, other))
    return TaskVerdict(budget, best, alike, local, remote)


def _rank(method: TaskMethod) -> tuple[float, float]:
    """Of equal right answers, the one that sends less."""
    return method.right.value, -(method.bytes_per_datum or 0)


def _are_told_apart(method: TaskMethod, other: TaskMethod) -> bool:
    if method.is_of_set:
        return True
    found = estimate(method.values["right"], other.values["right"])
    return abs(found.value) > _DOUBT * found.se


def summary(verdicts: Sequence[TaskVerdict], metric: str) -> str:
    """One sentence: `a student within 200 B, 500 B; a codec within 1 kB`."""
    budgets: dict[str, list[str]] = {}
    for verdict in verdicts:
        budgets.setdefault(verdict.who, []).append(_bytes(verdict.budget_bytes))
    parts = (f"{who} within {', '.join(own)}" for who, own in budgets.items())
    return f"By {metric} alone: {'; '.join(parts)}."


def told_of(methods: Sequence[TaskMethod]) -> list[str]:
    """The sentences of one task: a verdict a budget, their summary, who is left out."""
    verdicts = task_verdicts(methods)
    whole = compared(methods)
    few = [_name(m) for m in methods if m not in whole]
    left_out = (
        [f"Left out, not all photographs are answered yet: {'; '.join(few)}."]
        if few
        else []
    )
    metric = METRICS[methods[0].task]
    error = (
        [f"{metric} is of all photographs together: methods are ranked without error."]
        if methods[0].is_of_set
        else []
    )
    told = [verdict.text for verdict in verdicts]
    return [*told, summary(verdicts, metric), *error, *left_out]


def _kind(method: TaskMethod) -> str:
    found = (kind for name, kind in KINDS.items() if method.method.startswith(name))
    return next(found, _CODEC)


def _costs_less(local: TaskMethod | None, method: TaskMethod) -> bool:
    """Whether the device has no more to do for the whole network, which sends nothing;
    not where nobody counted a cost.
    """
    if local is None or local.encoder_kmacs_per_px is None:
        return False
    encoder = method.encoder_kmacs_per_px
    return encoder is not None and local.encoder_kmacs_per_px <= encoder


def _cost(method: TaskMethod, local: TaskMethod | None) -> str:
    encoder = method.encoder_kmacs_per_px
    if encoder is None:
        return "Its encoder's cost was not counted."
    bits = method.encoder_bits
    size = "" if bits is None else f" and {bits / 1000:,.0f} kbit"
    told = f"Its encoder costs {encoder:.2f} kMAC/px{size}"
    whole = None if local is None else local.encoder_kmacs_per_px
    if whole is None:
        return f"{told}."
    if _costs_less(local, method):
        return (
            f"{told}; the whole network on the device costs {whole:.2f} kMAC/px and "
            "sends nothing."
        )
    return f"{told}, {100 * encoder / whole:.0f} % of the whole network's kMAC/px."


def _name(method: TaskMethod) -> str:
    return f"{method.method} {method.setting}".strip()


def _bytes(size: int) -> str:
    return f"{size} B" if size < 1000 else f"{size / 1000:g} kB"


def _answered(method: TaskMethod, remote: TaskMethod | None) -> str:
    """How well, beside the teacher."""
    if not method.is_of_set:
        return f"{100 * method.right.value:.1f} % right, {_lost(method.lost)}"
    found = f"{METRICS[method.task]} {100 * method.right.value:.1f} %"
    if remote is None:
        return found
    return f"{found}, the teacher's {100 * remote.right.value:.1f} %"


def _lost(lost: Estimate) -> str:
    """Of right answers, in percentage points."""
    points, se = 100 * lost.value, 100 * lost.se
    if abs(points) < 0.05:
        return f"as many as the teacher (+- {se:.1f} points)"
    side = "fewer" if points > 0 else "more"
    return f"{abs(points):.1f} (+- {se:.1f}) points {side} than the teacher"
