"""A copy of the code that a launch runs from, so that nobody changes it meanwhile.

Copies lie in the user's cache, named by their content: equal code has one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import launch
from launch.config.composing import CONFIG_DIR
from rdc.specs.base import require
from rdc.system.code import COMMIT_FILE, git_sha, hash_of_files
from rdc.system.user_cache import user_cache_folder

ROOT = Path(launch.__file__).resolve().parents[1]
STAGED = ("analysis", "launch", "rdc", "sweeps")
OWN_OPTIONS = "own_options"  # the folder of --config-dir, in a copy
MAX_STAGED_BYTES = 50 * 2**20  # Ray refuses uploads over 100 MiB
KEPT = 5  # of the newest copies
_FRESH_SECONDS = 7 * 24 * 3600.0  # a launch may still run from one that is older
_HIDDEN = shutil.ignore_patterns(".*")
_IGNORED = ("__pycache__", "*.pyc", ".*", "out", "conf")


def stage_code(folder: Path, config_dir: Path | None = None) -> Path:
    """Copies the code that a job needs, without repository, outputs or data.

    Args:
      config_dir: the user's own options, which go along.

    Raises:
      ConfigError: it is larger than a job may bring along.
    """
    folder.mkdir(parents=True)
    ignore = shutil.ignore_patterns(*_IGNORED)
    for name in STAGED:
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    shutil.copytree(CONFIG_DIR, folder / "conf", ignore=ignore)
    if config_dir is not None:
        shutil.copytree(config_dir, folder / OWN_OPTIONS, ignore=_HIDDEN)
    (folder / COMMIT_FILE).write_text(f"{git_sha() or ''}\n")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    require(
        size <= MAX_STAGED_BYTES,
        f"the code of a job has at most {MAX_STAGED_BYTES >> 20} MiB",
        f"{size >> 20} MiB",
        f"move large files out of {', '.join(STAGED)}, conf and --config-dir",
    )
    return folder


def staged_code() -> Path:
    """The copy of the code as it is now."""
    copies = user_cache_folder() / "code"
    copies.mkdir(parents=True, exist_ok=True)
    begun = Path(tempfile.mkdtemp(prefix=".", dir=copies))
    try:
        copy = stage_code(begun / "code")
        files = sorted(path for path in copy.rglob("*") if path.is_file())
        place = copies / hash_of_files(copy, files)
        if not place.exists():
            try:
                copy.rename(place)
            except OSError:  # another launch was faster
                if not place.exists():
                    raise
    finally:
        shutil.rmtree(begun, ignore_errors=True)
    os.utime(place)
    _remove_old(copies)
    return place


def _remove_old(copies: Path) -> None:
    found = sorted(
        (path for path in copies.iterdir() if not path.name.startswith(".")),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for path in found[KEPT:]:
        if time.time() - path.stat().st_mtime > _FRESH_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
