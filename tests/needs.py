"""What some tests need that a machine may lack, and how to get it.

A test that lacks one is not silently skipped: the last line of the run names what was
lacking (`tests/conftest.py`). With RDC_TEST_MISSING=fail, as in CI, it fails.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from launch.commands.kodak import KODAK_SHA256
from rdc.entropy_coders.tfc_coder import tfc_python
from rdc.errors import ConfigError
from rdc.system.user_cache import user_cache_folder
from tests.browser import find_browser

REPOSITORY = Path(__file__).resolve().parent.parent
# Names a folder that holds `kodak/`, `kuberay/` and, for `make bench`, `train/` and
# `val/`.
DATA_VARIABLE = "RDC_TEST_DATA"
MISSING_VARIABLE = "RDC_TEST_MISSING"
_PREFIX = "needs "


def data_folder() -> Path:
    """The image sets that do not ship inside packages; it need not exist."""
    return Path(os.environ.get(DATA_VARIABLE) or REPOSITORY.parent / "shared/data")


def kodak_folder() -> Path | None:
    """Where all 24 Kodak images lie, or None."""
    folders = [data_folder() / "kodak"]
    if not os.environ.get(DATA_VARIABLE):
        folders.append(user_cache_folder() / "kodak")  # of `launch/data.py`
    for folder in folders:
        if all((folder / name).is_file() for name in KODAK_SHA256):
            return folder
    return None


def _has_tfc() -> bool:
    try:
        tfc_python()
    except ConfigError:
        return False
    return True


@dataclass(frozen=True)
class Need:
    """Something to have.

    Attributes:
      what: its name in a sentence.
      remedy: the command that gets it.
      is_there: whether this machine has it.
    """

    what: str
    remedy: str
    is_there: Callable[[], bool]


NEEDS = {
    "kodak": Need(
        "the 24 Kodak images",
        f"python launch/data.py fetch=kodak, or {DATA_VARIABLE}=a folder with kodak/",
        lambda: kodak_folder() is not None,
    ),
    "image_sets": Need(
        "the larger image sets",
        f"{DATA_VARIABLE}=a folder with train/ and val/",
        lambda: all((data_folder() / name).is_dir() for name in ("train", "val")),
    ),
    "kuberay": Need(
        "KubeRay's resource definitions",
        f"{DATA_VARIABLE}=a folder with kuberay/: the files of "
        "ray-operator/config/crd/bases of ray-project/kuberay, v1.7.0",
        lambda: (data_folder() / "kuberay/ray.io_rayclusters.yaml").is_file(),
    ),
    "browser": Need(
        "a browser",
        "apt-get install chromium, or .venv/bin/playwright install chromium",
        lambda: find_browser() is not None,
    ),
    "tfc": Need(
        "tensorflow-compression",
        "install Python 3.11, then make tfc",
        _has_tfc,
    ),
}


def needs(name: str) -> None:
    """Ends a test or a fixture here where the machine lacks what `NEEDS` calls so."""
    need = NEEDS[name]
    if need.is_there():
        return
    if os.environ.get(MISSING_VARIABLE) == "fail":
        pytest.fail(f"this test needs {need.what}: {need.remedy}", pytrace=False)
    pytest.skip(f"{_PREFIX}{name}")


def closing_line(reasons: Iterable[str]) -> str | None:
    """What was lacking, from the reasons of all skipped tests; None: nothing was."""
    named, others = Counter[str](), Counter[str]()
    for reason in reasons:
        reason = reason.removeprefix("Skipped: ")
        name = reason.removeprefix(_PREFIX)
        (named if name in NEEDS else others)[name] += 1
    parts = [
        f"{count} for want of {NEEDS[name].what} ({NEEDS[name].remedy})"
        for name, count in sorted(named.items())
    ] + [f"{count} skipped ({reason})" for reason, count in sorted(others.items())]
    return f"Tests not run here: {'; '.join(parts)}." if parts else None
