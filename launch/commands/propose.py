"""`launch/sweep.py ... propose=N`: what to train next; trains nothing."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from launch.commands.outputs import check_sweep
from launch.config.app import Call
from launch.config.roots import SweepConfig, absolute
from rdc.jobs.layout import PROPOSAL_FILE
from rdc.specs.base import require
from sweeps.outputs import Outputs

if TYPE_CHECKING:
    import pandas as pd

    from analysis.known import Known
    from analysis.latency_model import LatencyModel

_OWN = ("propose", "learn_from", "only", "plan_only", "stages")
_ENDS = ("", "_low", "_high")
_DIGITS = 8  # of the ids that the next command names


def check_proposing(config: SweepConfig) -> None:
    """Makes sure that proposals can be made with these options.

    Raises:
      ConfigError: objectives that nothing is predicted of, folders that are no sweeps,
        or `learn_from` without `propose`.
    """
    require(
        config.propose is not None or not config.learn_from,
        "learn_from names sweeps that proposals learn from",
        ", ".join(config.learn_from),
        "add propose=N",
    )
    if config.propose is None:
        return
    from analysis.known import COSTS

    cost, *others = config.objectives
    require(
        cost in COSTS and others == ["rd_loss"],
        f"propose weighs rd_loss against one cost of {', '.join(COSTS)}",
        ", ".join(config.objectives),
        "as 'objectives=[kflops_per_px,rd_loss]'",
    )
    for folder in config.learn_from:
        check_sweep(absolute(folder))


def print_proposal(
    call: Call[SweepConfig],
    number: int,
    outputs: Outputs,
    dataset: str,
    console: Console,
) -> None:
    """Prints the architectures of the plan in OUT that most likely move the frontier,
    and writes them to `OUT/proposal.json`.

    Args:
      number: of them, at most.
      dataset: name of the evaluation set.

    Raises:
      DataError: too little is known, or nothing is left to train.
    """
    from analysis.gather import gather
    from analysis.known import known_of
    from analysis.proposals import propose

    config = call.config
    known = known_of(
        gather(outputs.folder, config.objectives),
        [gather(absolute(folder)) for folder in config.learn_from],
        dataset=dataset,
        codec=config.codec.to_dict(),
        cost=config.objectives[0],
    )
    proposal = propose(known, number)
    columns = ["arch_id", "name", "family", *_costs(known)]
    table = proposal.merge(known.architectures[columns], on="arch_id")
    rates = _rates(table)
    console.print(_table(table, rates[len(rates) // 2]))
    learned = known.points["arch_id"].nunique()
    console.print(
        f"learned from {learned} trained architectures on {dataset}; "
        f"{known.left_out} measured points do not compare; "
        f"{len(known.untrained)} architectures are untrained",
        soft_wrap=True,
    )
    if known.latency is not None:
        console.print(_latency_note(known.latency), soft_wrap=True)
    command = _next_command(call, list(table["arch_id"]))
    told = f"to train them: {command}"
    console.print(told, soft_wrap=True, markup=False, highlight=False)
    path = outputs.folder / PROPOSAL_FILE
    value = {
        "grid": config.chosen_grid().name,
        "dataset": dataset,
        "objectives": list(config.objectives),
        "learned_from": {"architectures": learned, "points": len(known.points)},
        "decode_times_left_out": (
            [] if known.latency is None else known.latency.left_out.to_dict("records")
        ),
        "proposals": [_plain(row) for row in table.to_dict("records")],
        "command": command,
    }
    outputs.write_json(path, value)
    console.print(f"proposal: {outputs.name}/{path.name}", soft_wrap=True)


def _costs(known: Known) -> list[str]:
    times = [f"decode_ms{end}" for end in _ENDS]
    return list(dict.fromkeys(["kflops_per_px", known.cost, *times]))


def _rates(columns: Iterable[str]) -> list[str]:
    """Ascending, as the columns of a proposal name them."""
    begin = "rd_loss."
    rates = [c.removeprefix(begin) for c in columns if c.startswith(begin)]
    return sorted(rates, key=float)


def _table(rows: pd.DataFrame, lmbda: str) -> Table:
    table = Table(
        title="architectures that most likely move the frontier",
        caption="Gain: how much lower the RD loss of the frontier lies, mean over "
        "costs\nand rates; beside those above. In brackets: 8 of 10 outcomes.",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    shown = {
        "gain\n%": ("gain{}_percent", ".2f"),
        f"RD loss\nat lambda {lmbda}": (f"rd_loss{{}}.{lmbda}", ".3f"),
        "decode\nms": ("decode_ms{}", ".3g"),
    }
    if rows["decode_ms"].isna().all():
        del shown["decode\nms"]
    for title in ("architec-\nture", "family"):
        table.add_column(title, no_wrap=True)
    for title in ("kFLOPs\n/px", *shown):
        table.add_column(title, justify="right")
    for row in rows.to_dict("records"):
        name = row["name"]
        table.add_row(
            name if isinstance(name, str) else row["arch_id"][:_DIGITS],
            row["family"],
            f"{row['kflops_per_px']:.1f}",
            *(
                _interval([row[column.format(end)] for end in _ENDS], form)
                for column, form in shown.values()
            ),
        )
    return table


def _interval(values: list[float], form: str) -> str:
    value, low, high = values
    if math.isnan(value):
        return "-"
    return f"{value:{form}} ({low:{form}}-{high:{form}})"


def _latency_note(model: LatencyModel) -> str:
    errors = ", ".join(
        f"{row['family']} {row['median_percent']:.0f} % ({row['worst_percent']:.0f} %)"
        for row in model.left_out.to_dict("records")
    )
    return f"decode times of a family unseen are off by, median (worst): {errors}"


def _next_command(call: Call[SweepConfig], arch_ids: list[str]) -> str:
    kept = [o for o in call.overrides if o.split("=")[0].lstrip("+") not in _OWN]
    folder = [] if call.config_dir is None else ["--config-dir", str(call.config_dir)]
    only = ",".join(arch_id[:_DIGITS] for arch_id in arch_ids)
    words = ["python", "launch/sweep.py", *folder, *kept, f"only=[{only}]"]
    return shlex.join(words)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """For JSON: a list of rates, and null for what is not known."""
    rates = _rates(row)
    plain = {k: v for k, v in row.items() if not k.startswith("rd_loss")}
    plain["rates"] = [
        {"lmbda": float(lmbda)}
        | {f"rd_loss{end}": row[f"rd_loss{end}.{lmbda}"] for end in _ENDS}
        for lmbda in rates
    ]
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in plain.items()
    }
