"""The commands together, and how they end.

Modules of commands import what they work with when they run: `rdc info` and `--help`
answer without JAX.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from types import ModuleType

from rdc.cli import coding, complexity, export, inflate, info, models, teachers
from rdc.errors import ExitCode, RdcError


def main(arguments: list[str] | None = None, more: Sequence[ModuleType] = ()) -> int:
    """Runs one command; expected errors become one line and exit code 2.

    Args:
      more: modules of commands of other packages, with `add_commands`.
    """
    options = parser(more).parse_args(arguments)
    try:
        options.run(options)
    except RdcError as error:
        print(f"rdc: {with_options(str(error))}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return ExitCode.OK
    except KeyboardInterrupt:
        print("rdc: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    return ExitCode.OK


def parser(more: Sequence[ModuleType] = ()) -> argparse.ArgumentParser:
    """The parser of all commands; `run` of its result is the function to call."""
    whole = argparse.ArgumentParser(
        prog="rdc",
        description="Neural image codec: images to .rdc bitstreams and back.",
        epilog="Exit codes: 0 done, 2 bad input or configuration, 12 disk full, "
        "130 interrupted. `rdc COMMAND --help` says more of each.",
    )
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for group in (coding, info, models, export, complexity, teachers, inflate, *more):
        group.add_commands(commands)
    return whole


def with_options(message: str) -> str:
    """The library speaks of settings; here they are options: `--max-pixels`."""
    return re.sub(
        r"the setting (\w+)", lambda m: "--" + m[1].replace("_", "-"), message
    )
