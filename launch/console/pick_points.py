"""`rdc pick --best MEASURE --limit MEASURE=VALUE`: the best point by any measures."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from launch.console.output import print_json, print_rows
from rdc.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.candidates import Source
    from analysis.measures import Measure

# Options of `rdc pick` that are limits on these measures.
_OPTIONS = {
    "max_kflops": "kflops_per_px",
    "max_ms": "decode_ms",
    "max_bpp": "bpp",
    "min_psnr": "psnr_db",
}
_TOLD = ("bpp", "psnr_db")


def print_point(
    options: argparse.Namespace, source: Source, points: pd.DataFrame, notes: list[str]
) -> None:
    """Prints the pick of these options and its neighbours.

    Args:
      points, notes: as `analysis.candidates.comparable` gives them.
    """
    from analysis import candidates
    from analysis.measures import measures_of
    from analysis.pick_points import Limit, pick_point

    (best,) = measures_of([options.best])
    limits = [
        Limit.parse(f"{name}={getattr(options, option)}")
        for option, name in _OPTIONS.items()
        if getattr(options, option) is not None
    ]
    limits += [Limit.parse(text) for text in options.limit]
    if not limits:
        raise ConfigError(
            "the best by a measure is asked for within a limit",
            "none",
            "add --limit MEASURE=VALUE",
        )
    chosen = [best, *(limit.measure for limit in limits)]
    device = None
    if options.device is not None or any(m.of == "hardware" for m in chosen):
        device = candidates.device_of(source, options.device)
        points = candidates.timed_on(points, device, options.stage)
    found = pick_point(points, best, limits, options.lmbda)
    rows = {
        "next_cheaper": found.next_cheaper,
        "pick": found.best,
        "next_dearer": found.next_dearer,
    }
    shown = dict.fromkeys([*chosen, *measures_of(_TOLD)])
    aim = f"{'least' if best.minimise else 'most'} {best.name}"
    conditions = {
        **conditions_of(options, source, points, device),
        "bd_window": found.best.get("bd_window"),
        "points": found.of,
    }
    if options.format == "json":
        print_json(
            {
                "aim": aim,
                "limits": list(map(str, limits)),
                **{name: _plain(row, list(shown)) for name, row in rows.items()},
                "conditions": conditions,
                "notes": notes,
                "units": {m.name: m.unit for m in shown},
            }
        )
        return
    head = ["", "model", "family", "lambda", *(m.title for m in shown)]
    lines = [_line(name, row, list(shown)) for name, row in rows.items()]
    title = f"{_name(found.best)}: {aim}, {' and '.join(map(str, limits))}"
    print_rows(head, lines, title, options.format)
    print(
        "; ".join(f"{k} {v}" for k, v in conditions.items() if isinstance(v, str | int))
    )
    if any(_interval(found.best, m) for m in shown):
        print("In brackets: 95 % of the draws when images, and seeds, are resampled.")
    print("\n".join(f"note: {note}" for note in notes))


def conditions_of(
    options: argparse.Namespace, source: Source, points: pd.DataFrame, device: Any
) -> dict[str, str | None]:
    """Under which a pick holds.

    Args:
      device: whose times count; None: none do.
    """
    first = points.iloc[0]
    return {
        "source": source.name,
        "dataset": first["dataset"],
        "codec": first["codec"],
        "device": None if device is None else str(device),
        "stage": None if device is None else options.stage,
    }


def _name(row: pd.Series) -> str:
    known = (row.get("name"), row.get("label"), row["curve_id"])
    return next(text for text in known if isinstance(text, str))


def _interval(row: pd.Series, measure: Measure) -> tuple[float, float] | None:
    low, high = (row.get(name) for name in measure.interval or ("", ""))
    return None if low is None or low != low else (float(low), float(high))


def _plain(row: pd.Series | None, measures: list[Measure]) -> dict[str, Any] | None:
    if row is None:
        return None
    values = {"name": _name(row), "family": row["family"], "run_id": row["run_id"]}
    values["lmbda"] = float(row["lmbda"])
    for measure in measures:
        value = row[measure.name]
        values[measure.name] = None if value != value else float(value)
        interval = _interval(row, measure)
        if interval is not None:
            values |= dict(zip(measure.interval, interval, strict=True))
    return values


def _line(name: str, row: pd.Series | None, measures: list[Measure]) -> list[str]:
    label = name.replace("_", " ")
    if row is None:
        return [label, "none", *[""] * (2 + len(measures))]
    texts = []
    for measure in measures:
        text = f"{row[measure.name]:,.{measure.decimals}f}"
        interval = _interval(row, measure)
        if interval is not None:
            low, high = (f"{end:,.{measure.decimals}f}" for end in interval)
            text += f" ({low} to {high})"
        texts.append(text)
    return [label, _name(row), row["family"], f"{row['lmbda']:g}", *texts]
