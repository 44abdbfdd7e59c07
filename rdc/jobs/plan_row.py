"""One row of `OUT/plan.parquet`: a model of the plan and what it costs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from rdc.specs.base import Spec


@dataclass(frozen=True, kw_only=True)
class Cost(Spec):
    """Counted cost of one architecture, as `rdc.complexity` gives it.

    Attributes:
      components_json: a list with `side component params macs_per_px` of each.
    """

    params_total: int
    params_decoder: int
    kmacs_per_px: float
    kflops_per_px: float
    kmacs_per_px_encode: float
    decoder_peak_bytes_per_px: float
    components_json: str


# What a grid's constraints may bound.
COST_COLUMNS = tuple(
    f.name for f in dataclasses.fields(Cost) if f.name != "components_json"
)


@dataclass(frozen=True, kw_only=True)
class PlanRow(Spec):
    """A model of the plan. Cost columns are None where nothing was counted."""

    run_id: str
    curve_id: str
    arch_id: str
    name: str | None
    family: str
    transform: str
    entropy_model: str
    hyper_transform: str | None
    config_json: str  # the architecture
    recipe_json: str  # the whole recipe
    rates: tuple[float, ...]
    init_from: str | None
    steps: int
    batch_size: int
    crop_px: int
    seed: int
    distortion: str
    precision: str
    data_sha256: str
    params_total: int | None = None
    params_decoder: int | None = None
    kmacs_per_px: float | None = None
    kflops_per_px: float | None = None
    kmacs_per_px_encode: float | None = None
    decoder_peak_bytes_per_px: float | None = None
    components_json: str | None = None

    @property
    def cost(self) -> Cost | None:
        """What the architecture costs; None where nothing was counted."""
        if self.components_json is None:
            return None
        columns = (f.name for f in dataclasses.fields(Cost))
        return Cost(**{name: getattr(self, name) for name in columns})
