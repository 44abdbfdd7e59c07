"""`python launch/clean.py out=DIR`; see `--help`."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # this checkout's packages
    from launch.commands.clean import CLEAN_APP
    from launch.config.app import run_app

    sys.exit(run_app(CLEAN_APP))
