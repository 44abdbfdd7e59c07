"""`rdc pick`: the best model for a budget, and what its neighbours would give."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.console.output import add_format, check_extra, print_json, print_rows
from launch.console.pick_points import conditions_of, print_point
from rdc.errors import ConfigError
from rdc.system.store import is_url

if TYPE_CHECKING:
    from analysis.candidates import Source
    from analysis.pick import Candidate, Pick

_UNITS = {
    "kflops_per_px": "1000 FLOPs of the decoder per pixel, 2 per multiply-accumulate",
    "decode_ms": "milliseconds per image, median",
    "bpp": "bits per pixel of the coded files, mean over images",
    "psnr_db": "dB in RGB, mean over images",
    "rd_loss": "bpp + lmbda * distortion, mean over images",
    "bpp_percent": "of the rate of the pick",
}


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds `pick`."""
    pick = commands.add_parser(
        "pick",
        help="the best model of a sweep for a budget of time or operations",
        description="Names the model with the least RD loss, or the least rate at a "
        "PSNR, that decodes within a budget, and what the next cheaper and the next "
        "dearer one would give.",
    )
    pick.add_argument(
        "out",
        nargs="?",
        metavar="OUT",
        help="a sweep's folder or s3://bucket/path, or its table frontier (parquet, "
        "CSV); default: the reference models of this project on Kodak",
    )
    pick.add_argument("--max-ms", type=float, metavar="MS", help="to decode an image")
    pick.add_argument(
        "--device", help="that was timed: cpu, gpu, a part of its name, or its id"
    )
    pick.add_argument(
        "--stage", default="network", help="network (default), or end_to_end"
    )
    pick.add_argument("--max-kflops", type=float, metavar="N", help="kFLOPs per pixel")
    aim = pick.add_mutually_exclusive_group()
    aim.add_argument("--max-bpp", type=float, metavar="X", help="most PSNR within it")
    aim.add_argument("--min-psnr", type=float, metavar="DB", help="least rate for it")
    aim.add_argument("--lmbda", type=float, metavar="L", help="least RD loss there")
    pick.add_argument(
        "--best",
        metavar="MEASURE",
        help="the best point by a measure, and the options above are limits",
    )
    pick.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="MEASURE=VALUE",
        help="with --best: at most so much, or at least where more is better",
    )
    pick.add_argument("--dataset", help="image set, where there are several")
    pick.add_argument("--codec", help="as 'range, native, effort 0', likewise")
    pick.add_argument("--distortion", help="that was trained for, likewise")
    pick.add_argument(
        "--any-training",
        action="store_true",
        help="models that were trained otherwise than most, too",
    )
    add_format(pick, ("text", "markdown", "json"))
    pick.set_defaults(run=_pick)


def _pick(options: argparse.Namespace) -> None:
    check_extra()
    from analysis import candidates
    from analysis.pick import Aim, Budget, only_lmbda, pick

    source = _source(options.out)
    points, notes = candidates.comparable(
        source,
        options.dataset,
        options.codec,
        options.distortion,
        options.any_training,
    )
    if options.best is not None:
        print_point(options, source, points, notes)
        return
    if options.limit:
        raise ConfigError(
            "limits on measures are for the best by a measure",
            ", ".join(options.limit),
            "add --best MEASURE",
        )
    device = column = None
    if options.max_ms is not None or options.device is not None:
        device = candidates.device_of(source, options.device)
        column = candidates.time_column(device, options.stage)
    lmbda = options.lmbda
    if lmbda is None and options.min_psnr is None and options.max_bpp is None:
        lmbda = only_lmbda(points)
    aim = Aim(lmbda, options.min_psnr, options.max_bpp)
    budget = Budget(options.max_ms, options.max_kflops, column)
    found = pick(points, aim, budget)
    conditions = {
        **conditions_of(options, source, points, device),
        "times": None if device is None else device.conditions,
        "models": found.of,
    }
    if options.format == "json":
        print_json(
            {
                "aim": str(aim),
                "budget": str(budget),
                **{name: _plain(c, found) for name, c in _named(found).items()},
                "conditions": conditions,
                "notes": notes,
                "units": _UNITS,
            }
        )
        return
    title = f"{found.best.name}: {aim}, {budget}"
    rows = [_line(name, c) for name, c in _named(found).items()]
    print_rows(_HEAD, rows, title, options.format)
    print("\n".join(_against(found)))
    told = [f"{name} {value}" for name, value in conditions.items() if value]
    print("; ".join(told))
    print("\n".join([*_NOTES, *(f"note: {note}" for note in notes)]))


def _source(out: str | None) -> Source:
    """As `read_source`; of a store, from tables gathered in this machine's copy."""
    from analysis.candidates import read_source

    if out is None or not is_url(out):
        return read_source(None if out is None else Path(out))
    from analysis.gather import gather
    from launch.commands.outputs import check_sweep, open_outputs

    outputs = open_outputs(out)
    check_sweep(outputs.folder)
    outputs.refresh()
    gather(outputs.folder)
    return replace(read_source(outputs.folder), name=out)


_HEAD = ("", "model", "family", "decode ms", "kFLOPs/px", "bpp", "PSNR dB", "RD loss")
_NOTES = (
    "kFLOPs/px of the decoder, 2 FLOPs per MAC; ~ lies between two points of a model.",
)


def _named(found: Pick) -> dict[str, Candidate | None]:
    return {
        "next_cheaper": found.next_cheaper,
        "pick": found.best,
        "next_dearer": found.next_dearer,
    }


def _plain(candidate: Candidate | None, found: Pick) -> dict[str, Any] | None:
    from analysis.pick import differences

    if candidate is None:
        return None
    values = asdict(candidate)
    if candidate is not found.best:
        values["against_the_pick"] = differences(candidate, found.best)
    return values


def _line(name: str, candidate: Candidate | None) -> list[str]:
    label = name.replace("_", " ")
    if candidate is None:
        return [label, "none", *[""] * (len(_HEAD) - 2)]
    between = "~" if candidate.interpolated else ""
    numbers = (
        (candidate.decode_ms, "{:,.4g}"),
        (candidate.kflops_per_px, "{:,.4g}"),
        (candidate.bpp, between + "{:.4f}"),
        (candidate.psnr_db, between + "{:.2f}"),
        (candidate.rd_loss, "{:.4f}"),
    )
    texts = ["-" if value is None else form.format(value) for value, form in numbers]
    return [label, candidate.name, candidate.family, *texts]


_DIFFERENCES = {
    "bpp_percent": "{:+.1f} % rate",
    "psnr_db": "{:+.2f} dB",
    "rd_loss": "{:+.4f} RD loss",
    "decode_ms": "{:+.4g} ms",
    "kflops_per_px": "{:+.4g} kFLOPs/px",
}


def _against(found: Pick) -> list[str]:
    """A line for each neighbour: what it gives and takes."""
    from analysis.pick import differences

    lines = []
    for candidate in (found.next_cheaper, found.next_dearer):
        if candidate is not None:
            values = differences(candidate, found.best)
            texts = [_DIFFERENCES[key].format(v) for key, v in values.items() if v]
            lines.append(f"{candidate.name} against the pick: {', '.join(texts)}")
    return lines
