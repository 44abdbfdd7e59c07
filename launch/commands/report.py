"""`launch/report.py`: tables and report from the records of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from launch.commands.outputs import check_sweep
from launch.config.app import App, Call
from launch.config.roots import ReportConfig, SweepConfig, absolute
from rdc.errors import ExitCode


def gather_and_report(
    out: Path, console: Console, stages: Sequence[str], objectives: Sequence[str]
) -> None:
    """Does the stages `gather` and `report`; ends with the frontier on the terminal.

    Args:
      objectives: of the frontier, names of `analysis.measures.MEASURES`.
    """
    if "gather" in stages:
        from analysis.gather import gather

        gather(out, objectives)
    if "report" in stages:
        from analysis.report.page import write_report
        from analysis.report.terminal import print_frontier

        write_report(out, objectives)
        print_frontier(out, console, objectives)


def checked_objectives(config: ReportConfig | SweepConfig) -> tuple[str, ...]:
    """The objectives of a configuration.

    Raises:
      ConfigError: a name that no measure has.
    """
    from analysis.measures import measures_of

    return tuple(measure.name for measure in measures_of(config.objectives))


def run_report(call: Call[ReportConfig]) -> int:
    """Rebuilds `OUT/tables` and `OUT/report`."""
    out = absolute(call.config.out)
    check_sweep(out)
    stages = ("gather", "report")
    gather_and_report(out, Console(), stages, checked_objectives(call.config))
    return ExitCode.OK


REPORT_APP = App(
    "report_run",
    ReportConfig,
    run_report,
    "Makes the tables and the report of a sweep again, from its records.",
    (
        "python launch/report.py out=out/rdc_mini",
        "python launch/report.py out=out/rdc_mini 'objectives=[decode_ms,psnr_db,bpp]'",
    ),
)
