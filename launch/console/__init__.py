"""The console script `rdc`: the codec's commands, and those that read results.

Those of the codec are in `rdc.cli`, which knows no tables; what it is installed
without, the others ask for.
"""

from __future__ import annotations

from launch.console import pick, refs
from rdc import cli


def main(arguments: list[str] | None = None) -> int:
    """Runs one command, as `rdc.cli.main`."""
    return cli.main(arguments, more=(refs, pick))
