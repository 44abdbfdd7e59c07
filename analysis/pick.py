"""Which model to take for a budget, and what a little less or more would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from analysis.candidates import curves
from rdc.errors import ConfigError, DataError
from rdc.specs.base import require


@dataclass(frozen=True)
class Aim:
    """What makes one model better than another; exactly one of these.

    Attributes:
      lmbda: the least RD loss at this lambda, at which models have a point.
      min_psnr_db: the least rate that gives this PSNR.
      max_bpp: the most PSNR that this rate gives.
    """

    lmbda: float | None = None
    min_psnr_db: float | None = None
    max_bpp: float | None = None

    def __post_init__(self) -> None:
        given = {k: v for k, v in vars(self).items() if v is not None}
        require(len(given) == 1, "one aim is given", given or "none")
        require(min(given.values()) > 0, "an aim is a positive number", given)

    def __str__(self) -> str:
        if self.lmbda is not None:
            return f"least RD loss at lambda {self.lmbda:g}"
        if self.min_psnr_db is not None:
            return f"least rate for {self.min_psnr_db:g} dB"
        return f"most PSNR within {self.max_bpp:g} bpp"


@dataclass(frozen=True)
class Budget:
    """What decoding may cost at most; None: no matter.

    Attributes:
      max_ms: in the decode times of `time_column`.
      max_kflops: kFLOPs per pixel.
      time_column: of the points; None where no time is looked at.
    """

    max_ms: float | None = None
    max_kflops: float | None = None
    time_column: str | None = None

    def __post_init__(self) -> None:
        for limit in (self.max_ms, self.max_kflops):
            require(limit is None or limit > 0, "a limit is a positive number", limit)

    @property
    def cost(self) -> str:
        """The field of a candidate by which cheaper and dearer are told."""
        return "kflops_per_px" if self.time_column is None else "decode_ms"

    def holds(self, candidate: Candidate) -> bool:
        return all(value <= limit for value, limit, _ in self._limits(candidate))

    def excess(self, candidate: Candidate) -> float:
        """The largest cost as a multiple of its limit."""
        return max(value / limit for value, limit, _ in self._limits(candidate))

    def needs(self, candidate: Candidate) -> str:
        return " and ".join(f"{v:.4g} {u}" for v, _, u in self._limits(candidate))

    def __str__(self) -> str:
        limits = ((self.max_ms, "ms"), (self.max_kflops, "kFLOPs/px"))
        texts = [f"{limit:g} {unit}" for limit, unit in limits if limit is not None]
        return " and ".join(texts) or "no limit"

    def _limits(self, candidate: Candidate) -> list[tuple[float, float, str]]:
        limits = (
            (candidate.decode_ms, self.max_ms, "ms"),
            (candidate.kflops_per_px, self.max_kflops, "kFLOPs/px"),
        )
        return [
            (np.inf if value is None else value, limit, unit)
            for value, limit, unit in limits
            if limit is not None
        ]


@dataclass(frozen=True)
class Candidate:
    """A model where it meets the aim.

    Attributes:
      bpp, psnr_db: there; `interpolated` between its points where that is so.
      rd_loss: at the aim's lambda, else None.
      decode_ms: of its slowest point; None without times.
    """

    name: str
    family: str
    curve_id: str
    kflops_per_px: float | None
    decode_ms: float | None
    bpp: float
    psnr_db: float
    rd_loss: float | None = None
    interpolated: bool = False

    def loss(self, aim: Aim) -> float:
        """Less is better."""
        if aim.max_bpp is not None:
            return -self.psnr_db
        return self.bpp if self.rd_loss is None else self.rd_loss


@dataclass(frozen=True)
class Pick:
    """The best model of a budget, and its neighbours among all.

    Attributes:
      next_cheaper: the best of those that cost less; None: there is none.
      next_dearer: the cheapest of those that are better; likewise.
      of: how many models meet the aim, whatever they cost.
    """

    best: Candidate
    next_cheaper: Candidate | None
    next_dearer: Candidate | None
    of: int


def only_lmbda(points: pd.DataFrame) -> float:
    """The lambda of all points.

    Raises:
      ConfigError: they have several.
    """
    known = sorted(points["lmbda"].unique())
    if len(known) > 1:
        raise ConfigError(
            "an aim is given where models have several lambdas",
            f"{len(known)} lambdas",
            "give the setting min_psnr, the setting max_bpp or the setting lmbda, one "
            f"of {', '.join(f'{value:g}' for value in known)}",
        )
    return known[0]


def pick(points: pd.DataFrame, aim: Aim, budget: Budget) -> Pick:
    """The best model within the budget.

    Args:
      points: that compare, as `analysis.candidates.comparable` gives them.

    Raises:
      ConfigError: nothing is within the budget; the error says what the nearest needs.
      DataError: no model meets the aim, or the costs of all that do are unknown.
    """
    found = _candidates(points, aim, budget)
    costs = {id(c): getattr(c, budget.cost) for c in found}
    known = [c for c in found if costs[id(c)] is not None]
    if not known:
        raise DataError(f"some model has the column {budget.cost}", "none has")
    within = [c for c in known if budget.holds(c)]
    if not within:
        nearest = min(known, key=budget.excess)
        raise ConfigError(
            f"some model decodes within {budget}",
            f"none of {len(known)}",
            f"the nearest, {nearest.name}, needs {budget.needs(nearest)}",
        )

    def quality(candidate: Candidate) -> tuple[float, float, str]:
        return candidate.loss(aim), costs[id(candidate)], candidate.curve_id

    best = min(within, key=quality)
    cheaper = [c for c in known if costs[id(c)] < costs[id(best)]]
    better = [c for c in known if c.loss(aim) < best.loss(aim)]
    return Pick(
        best,
        min(cheaper, key=quality, default=None),
        min(better, key=lambda c: (costs[id(c)], *quality(c)), default=None),
        len(known),
    )


def _candidates(points: pd.DataFrame, aim: Aim, budget: Budget) -> list[Candidate]:
    met = (
        _least_losses(points, aim.lmbda)
        if aim.lmbda is not None
        else _on_curves(points, aim)
    )
    return [
        Candidate(
            **_description(points[points["curve_id"] == curve_id], budget), **values
        )
        for curve_id, values in met.items()
    ]


def _description(rows: pd.DataFrame, budget: Budget) -> dict:
    first = rows.iloc[0]
    unnamed = first.get("label", first["curve_id"][:8])
    name = first["name"] if isinstance(first["name"], str) else unnamed
    column = budget.time_column
    times = rows[column] if column in rows else pd.Series(dtype=float)
    return {
        "name": name,
        "family": first["family"],
        "curve_id": first["curve_id"],
        "kflops_per_px": _number(first["kflops_per_px"]),
        "decode_ms": _number(times.max()),
    }


def _number(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def at_lmbda(points: pd.DataFrame, lmbda: float) -> pd.DataFrame:
    """The points of this lambda.

    Raises:
      ConfigError: there are none.
    """
    rows = points[np.isclose(points["lmbda"], lmbda, rtol=1e-6)]
    if rows.empty:
        known = ", ".join(f"{value:g}" for value in sorted(points["lmbda"].unique()))
        raise ConfigError(
            "the setting lmbda is one that models were trained for",
            f"{lmbda:g}",
            f"there are: {known}",
        )
    return rows


def _least_losses(points: pd.DataFrame, lmbda: float) -> dict[str, dict]:
    rows = at_lmbda(points, lmbda)
    rows = rows.dropna(subset=["rd_loss"]).sort_values("rd_loss")
    best = rows.drop_duplicates("curve_id").set_index("curve_id")
    return best[["rd_loss", "bpp", "psnr_db"]].to_dict("index")


def _on_curves(points: pd.DataFrame, aim: Aim) -> dict[str, dict]:
    met = {}
    for rows in curves(points):
        values = _on_curve(rows, aim)
        if values is not None:
            met[rows["curve_id"].iloc[0]] = values
    if met:
        return met
    if aim.min_psnr_db is not None:
        most = points["psnr_db"].max()
        raise ConfigError(
            "some model reaches the setting min_psnr",
            f"{aim.min_psnr_db:g} dB",
            f"the best point has {most:.2f} dB",
        )
    least = points["bpp"].min()
    raise ConfigError(
        "some model stays within the setting max_bpp",
        f"{aim.max_bpp:g}",
        f"the smallest point has {least:.4f} bpp",
    )


def _on_curve(rows: pd.DataFrame, aim: Aim) -> dict | None:
    """Where a curve meets the aim: on it, or at its end that is better than asked."""
    rate, psnr_db = rows["bpp"].to_numpy(float), rows["psnr_db"].to_numpy(float)
    if aim.min_psnr_db is not None:
        if psnr_db[-1] < aim.min_psnr_db:
            return None
        if psnr_db[0] >= aim.min_psnr_db:
            return {"bpp": float(rate[0]), "psnr_db": float(psnr_db[0])}
        bpp = np.exp(_between(psnr_db, np.log(rate), aim.min_psnr_db))
        return {"bpp": float(bpp), "psnr_db": aim.min_psnr_db, "interpolated": True}
    if aim.max_bpp is None or rate[0] > aim.max_bpp:
        return None
    if rate[-1] <= aim.max_bpp:
        return {"bpp": float(rate[-1]), "psnr_db": float(psnr_db[-1])}
    value = _between(np.log(rate), psnr_db, np.log(aim.max_bpp))
    return {"bpp": aim.max_bpp, "psnr_db": value, "interpolated": True}


def _between(x: Sequence[float], y: Sequence[float], at: float) -> float:
    """As BD-rates are interpolated: a monotone piecewise cubic."""
    return float(PchipInterpolator(x, y)(at))


def differences(candidate: Candidate, best: Candidate) -> dict[str, float]:
    """How a candidate differs from the pick, in what both have: rates in per cent, the
    rest in its unit."""
    found = {"bpp_percent": 100 * (candidate.bpp / best.bpp - 1)}
    for name in ("psnr_db", "rd_loss", "decode_ms", "kflops_per_px"):
        ours, other = getattr(candidate, name), getattr(best, name)
        if ours is not None and other is not None:
            found[name] = ours - other
    return found
