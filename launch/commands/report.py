"""`launch/report.py`: tables and report from the records of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from launch.commands.outputs import check_sweep, open_outputs
from launch.config.app import App, Call
from launch.config.roots import ReportConfig, SweepConfig, absolute
from rdc.errors import ConfigError, ExitCode
from rdc.jobs.layout import REPORT_FILE, TABLES_FOLDER
from sweeps.outputs import Outputs


def gather_and_report(
    outputs: Outputs,
    console: Console,
    stages: Sequence[str],
    objectives: Sequence[str],
    anchor: str | None = None,
) -> None:
    """Does the stages `gather` and `report`; ends with the frontier on the terminal.

    Args:
      objectives: of the frontier, names of `analysis.measures.MEASURES`.
      anchor: of BD-rate as one of them, see `analysis.gather.gather`.
    """
    out = outputs.folder
    outputs.refresh()
    if "gather" in stages:
        from analysis.gather import gather
        from analysis.uncertainty import resample

        gather(out, objectives, anchor)
        resample(out, objectives)
        outputs.publish(out / TABLES_FOLDER)
    if "report" in stages:
        from analysis.report.page import write_report
        from analysis.report.terminal import print_frontier

        write_report(out, objectives)
        outputs.publish((out / REPORT_FILE).parent)
        print_frontier(out, console, objectives)
        if outputs.name != str(out):
            console.print(f"and {outputs.name}/{REPORT_FILE}", soft_wrap=True)


def checked_objectives(config: ReportConfig | SweepConfig) -> tuple[str, ...]:
    """The objectives of a configuration.

    Raises:
      ConfigError: a name that no measure has.
    """
    from analysis.measures import measures_of

    return tuple(measure.name for measure in measures_of(config.objectives))


def run_report(call: Call[ReportConfig]) -> int:
    """Rebuilds `OUT/tables` and `OUT/report`; of several sweeps, those of `into`."""
    config, objectives = call.config, checked_objectives(call.config)
    console = Console(quiet=config.format != "text")
    if isinstance(config.out, str):
        outputs = open_outputs(config.out)
        check_sweep(outputs.folder)
        stages = ("gather", "report")
        gather_and_report(outputs, console, stages, objectives, config.anchor)
        folder = outputs.folder
    else:
        folder = _together(config, console, objectives)
    if config.format != "text":
        from analysis.report.data import ReportData
        from analysis.report.printed_table import printed_table

        data = ReportData.read(folder, objectives)
        print(printed_table(data, config.format), end="")
    return ExitCode.OK


def _together(
    config: ReportConfig, console: Console, objectives: tuple[str, ...]
) -> Path:
    """The common report of several sweeps; its folder."""
    from analysis.gather import gather_together
    from analysis.report.page import write_report
    from analysis.report.terminal import print_frontier
    from analysis.uncertainty import resample

    if config.into is None:
        raise ConfigError(
            "a common report has a folder of its own", "none", "add into=DIR"
        )
    found = []
    for out in config.out:
        outputs = open_outputs(out)
        check_sweep(outputs.folder)
        outputs.refresh()
        found.append(outputs.folder)
    into = absolute(config.into)
    gather_together(found, into, objectives, config.anchor)
    resample(into, objectives)
    write_report(into, objectives)
    print_frontier(into, console, objectives)
    return into


REPORT_APP = App(
    "report_run",
    ReportConfig,
    run_report,
    "Makes the tables and the report of a sweep again, from its records.",
    (
        "python launch/report.py out=out/rdc_mini",
        "python launch/report.py out=out/rdc_mini 'objectives=[decode_ms,psnr_db,bpp]'",
        "python launch/report.py out=out/rdc_mini anchor=JPEG "
        "'objectives=[kflops_per_px,bd_rate_percent]'",
        "python launch/report.py 'out=[out/cpu,out/gpu]' into=out/both",
        "python launch/report.py out=out/rdc_mini format=latex > table.tex",
    ),
)
