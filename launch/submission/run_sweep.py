"""`python -m launch.submission.run_sweep OPTIONS`: the sweep of a submitted job.

As `launch/sweep.py`. The last line that it prints is its exit code: of a job that was
stopped, Ray keeps none.
"""

from __future__ import annotations

import sys

EXIT_CODE_MARK = "sweep-exit-code:"


def main() -> int:
    from launch.commands.sweep import SWEEP_APP
    from launch.config.app import run_app

    code = int(run_app(SWEEP_APP))
    print(EXIT_CODE_MARK, code, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
