"""The browser in which the report is tested: found, or installed where it may be.

python -m tests.browser
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# A network that leads nowhere must not hold up the tests for longer.
_TIMEOUT_SECONDS = 600


def find_browser() -> Path | None:
    """A Chromium of the system, or the one that Playwright downloaded."""
    installed = next(filter(None, map(shutil.which, _NAMES)), None)
    if installed is not None:
        return Path(installed)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    return own if own.is_file() else None


def install() -> Path | None:
    """Tries apt-get as root, then Playwright's own download; gives what is there."""
    root = os.geteuid() == 0
    if find_browser() is None and root and shutil.which("apt-get"):
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        _run(["apt-get", "update", "-qq"])
        _run(["apt-get", "install", "-y", "-qq", "chromium"])
    if find_browser() is None:
        libraries = ["--with-deps"] if root else []
        _run([sys.executable, "-m", "playwright", "install", *libraries, "chromium"])
    return find_browser()


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(
            command, stdout=subprocess.DEVNULL, timeout=_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        print(f"{command[0]} took over {_TIMEOUT_SECONDS} s", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(install() is None)
