"""`launch/report.py`: tables and report from the records of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from launch.config.app import App, Config
from rdc.errors import ConfigError, ExitCode
from sweeps.plan import PLAN_FILE


def gather_and_report(out: Path, console: Console, stages: Sequence[str]) -> None:
    """Does the stages `gather` and `report`; ends with the frontier on the terminal."""
    if "gather" in stages:
        from analysis.gather import gather

        gather(out)
    if "report" in stages:
        from analysis.report.page import write_report
        from analysis.report.terminal import print_frontier

        write_report(out)
        print_frontier(out, console)


def run_report(config: Config) -> int:
    """Rebuilds `OUT/tables` and `OUT/report`."""
    out = Path(config["out"]).expanduser().absolute()
    if not (out / PLAN_FILE).exists():
        raise ConfigError(
            "out is the folder of a sweep",
            f"{out} without {PLAN_FILE}",
            "give the out=DIR of a sweep that was started",
        )
    gather_and_report(out, Console(), ("gather", "report"))
    return ExitCode.OK


REPORT_APP = App(
    "report_run",
    run_report,
    "Makes the tables and the report of a sweep again, from its records.",
    ("python launch/report.py out=out/rdc_mini",),
)
