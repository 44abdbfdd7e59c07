"""The copy of the code that a launch runs from."""

import os
import shutil
import subprocess
import sys

import pytest

from launch import staging
from launch.executors.child import ChildSettings
from rdc.system.code import code_sha256, git_sha

PROGRAM = """
import rdc
from rdc.system.code import code_sha256, git_sha
print(rdc.__file__, code_sha256(), git_sha())
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/rdc-frontier/code"


def test_processes_run_the_copy_and_know_its_commit(cache):
    copy = staging.staged_code()
    assert copy.parent == cache
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=ChildSettings(code=copy).variables(),
        cwd=os.sep,
        capture_output=True,
        text=True,
        check=True,
    )
    own = [str(copy / "rdc/__init__.py"), code_sha256(), str(git_sha())]
    assert done.stdout.split() == own


def test_equal_code_has_one_copy_and_other_code_another(cache, tmp_path, monkeypatch):
    first = staging.staged_code()
    assert staging.staged_code() == first
    edited = tmp_path / "edited"
    ignore = shutil.ignore_patterns("__pycache__")
    for name in staging.STAGED:
        shutil.copytree(staging.ROOT / name, edited / name, ignore=ignore)
    with open(edited / "rdc/errors.py", "a") as file:
        file.write("# edited\n")
    monkeypatch.setattr(staging, "ROOT", edited)
    second = staging.staged_code()
    assert second != first
    assert "# edited" not in (first / "rdc/errors.py").read_text()
    assert {path.name for path in cache.iterdir()} == {first.name, second.name}


def test_old_copies_go_and_those_that_may_be_in_use_stay(cache):
    cache.mkdir(parents=True)
    for age_days in range(20):
        folder = cache / f"copy-{age_days:02d}"
        folder.mkdir()
        staged_at = folder.stat().st_mtime - age_days * 86_400
        os.utime(folder, (staged_at, staged_at))
    kept = staging.staged_code()
    left = sorted(path.name for path in cache.iterdir() if path != kept)
    assert left == [f"copy-{age_days:02d}" for age_days in range(7)]
