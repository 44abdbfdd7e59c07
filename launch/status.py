"""`python launch/status.py out=DIR`; see `--help`."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # this checkout's packages
    from launch.commands.status import STATUS_APP
    from launch.config.app import run_app

    sys.exit(run_app(STATUS_APP))
