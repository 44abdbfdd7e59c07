"""`rdc refs`: published codecs with their costs, as claims with their sources."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launch.console.output import (
    FORMATS,
    add_format,
    check_extra,
    print_json,
    print_rows,
)

if TYPE_CHECKING:
    from analysis.reference_points import ReferencePoint

_NOTES = (
    "Claims of others, none measured here. 1 MAC = 2 FLOPs; both sides: encoder and "
    "decoder together, of which no decoder's cost follows.",
    "BD-rates of two anchors do not compare. RD loss: bpp + {lmbda} MSE of the mean "
    "PSNR at the best point of the published curve on Kodak; it is less than a mean "
    "over images and does not compare with one.",
)


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds `refs`."""
    refs = commands.add_parser(
        "refs",
        help="published codecs with their costs and sources",
        description="Lists published codecs: cost of the decoder, rate saved and the "
        "anchor it is against, RD loss, decode time and its device, source.",
    )
    add_format(refs, FORMATS)
    refs.add_argument("--anchor", help="with a BD-rate against this one alone")
    refs.add_argument(
        "--max-kflops", type=float, metavar="N", help="decoders of at most N kFLOPs/px"
    )
    refs.add_argument(
        "--curves",
        action="store_true",
        help="instead, the published points on Kodak that these rest on",
    )
    refs.set_defaults(run=_refs)


def _refs(options: argparse.Namespace) -> None:
    check_extra()
    from analysis import baselines
    from analysis.reference_points import chosen, table

    points = chosen(options.anchor, options.max_kflops)
    if options.curves:
        rows = baselines.kodak()
        if options.anchor is not None or options.max_kflops is not None:
            rows = rows[rows["codec"].isin([point.curve for point in points])]
    else:
        rows = table(points)
    if options.format == "csv":
        rows.to_csv(sys.stdout, index=False, lineterminator="\n")
    elif options.format == "json":
        records = rows.astype(object).where(rows.notna(), None)
        print_json(records.to_dict("records"))
    elif options.curves:
        told = rows[["codec", "quality", "bpp", "psnr_db", "source_repo"]].astype(str)
        title = "Published points on Kodak, mean PSNR in RGB"
        print_rows(list(told), told.to_numpy().tolist(), title, options.format)
    else:
        _print_points(points, options.format)


def _print_points(points: Sequence[ReferencePoint], kind: str) -> None:
    """One table for each anchor: no column mixes two."""
    from analysis.reference_points import LMBDA, anchors

    sources = list(dict.fromkeys(point.source for point in points))
    for anchor in (*anchors(points), None):
        own = [point for point in points if point.bd_anchor == anchor]
        if own:
            rate = "no BD-rate" if anchor is None else f"BD-rate against {anchor}, %"
            head = ("codec", "year", *_HEAD, "time is of", "source")
            lines = [_line(p, sources.index(p.source) + 1) for p in own]
            print_rows(head, lines, f"Published, {rate}", kind)
    for number, source in enumerate(sources, 1):
        print(f"[{number}] {source}")
    print("\n" + "\n".join(note.format(lmbda=LMBDA) for note in _NOTES))


_HEAD = ("decoder kFLOPs/px", "both-sides kFLOPs/px", "BD-rate %", "RD loss", "ms")


def _line(point: ReferencePoint, source: int) -> list[str]:
    from analysis.pages import number
    from analysis.reference_points import LMBDA

    numbers = (
        (point.kflops_per_px, ",.4g"),
        (point.kflops_per_px_both_sides, ",.4g"),
        (point.bd_rate_percent, "+.2f"),
        (point.rd_loss(LMBDA), ".3f"),
        (point.decode_ms, "g"),
    )
    timed = (point.decode_device, point.decode_image, point.decode_includes)
    return [
        point.codec,
        str(point.year),
        *("-" if value is None else number(value, form) for value, form in numbers),
        ", ".join(filter(None, timed)) or "-",
        f"[{source}]",
    ]
