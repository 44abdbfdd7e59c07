"""What is declared in pyproject.toml is what is imported; the Makefile sets it up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.modules import OURS, REPOSITORY, imports, modules

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
# Longest name first where two fit: the extras that a part of the code may count on.
# `None` are the dependencies of the codec alone, which every part has.
EXTRAS: dict[str, set[str | None]] = {
    "rdc": {None},
    "rdc.system.store": {None, "sweep"},
    "rdc.training": {None, "train"},
    "rdc.split.losses": {None, "train"},
    "rdc.tasks.box_map": {None, "tasks"},
    "rdc.split.train": {None, "train"},
    "rdc.tasks.teachers": {None, "train"},
    "rdc.overfitted.kernels": {None, "overfitted"},
    "rdc.entropy_coders.tfc_coder": {None, "tfc"},
    "rdc.entropy_coders.tfc_worker": {"tfc", "of .venv-tfc"},
    "sweeps": {None, "sweep"},
    "launch": {None, "sweep"},
    "analysis": {None, "report"},
}
OF_TFC = {"tensorflow", "tensorflow-compression", "numpy", "msgpack"}
NOT_IMPORTED = {"scikit-image", "scikit-learn"}  # for their photographs


def declared(extra: str | None) -> set[str]:
    """Distributions of an extra, those of extras that it names included."""
    if extra == "of .venv-tfc":
        return OF_TFC
    texts = (
        PROJECT["dependencies"]
        if extra is None
        else PROJECT["optional-dependencies"][extra]
    )
    found = set()
    for requirement in map(Requirement, texts):
        if requirement.name == PROJECT["name"]:
            for other in requirement.extras:
                found |= declared(other)
        else:
            found.add(canonicalize_name(requirement.name))
    return found


@cache
def distributions(top: str) -> frozenset[str]:
    """The distributions that bring a top-level module; its own name if none does."""
    names = packages_distributions().get(top, [top])
    return frozenset(map(canonicalize_name, names))


def third_party(path: Path) -> set[str]:
    ours = {*OURS, "tests"}
    return {found.top for found in imports(path)} - ours - sys.stdlib_module_names


@pytest.mark.parametrize("package", OURS)
def test_what_is_imported_is_declared(package: str) -> None:
    """For every part by the extras that it may count on, not by what others bring."""
    for module, path in modules(package).items():
        fitting = [name for name in EXTRAS if f"{module}.".startswith(f"{name}.")]
        extras = EXTRAS[max(fitting, key=len)]
        there = set().union(*map(declared, extras))
        for top in third_party(path):
            assert distributions(top) & there, f"{module} imports {top}"


def test_what_is_declared_is_imported() -> None:
    used = set(NOT_IMPORTED)
    for package in OURS:
        for path in modules(package).values():
            for top in third_party(path):
                used |= distributions(top)
    assert declared(None) | declared("sweep") | declared("tfc") <= used


@pytest.mark.parametrize("minor", ["3.11", "3.12"])
def test_every_dependency_is_pinned(minor: str) -> None:
    text = (REPOSITORY / f"constraints-{minor}.txt").read_text()
    pins = re.findall(r"^([\w.-]+)==[\w.]+$", text, re.MULTILINE)
    assert len(pins) == len([s for s in text.splitlines() if not s.startswith("#")])
    missing = (declared(None) | declared("dev")) - set(map(canonicalize_name, pins))
    assert missing == set()


def make(*arguments: object, path: str = os.environ["PATH"]) -> str:
    """What `make` prints, on both streams, with its exit code at the end."""
    done = subprocess.run(
        ["make", "--no-print-directory", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=REPOSITORY,
        # Not the flags and variables of the `make` that runs the tests.
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("MAKE")},
            "PATH": path,
        },
        check=False,
    )
    return f"{done.stdout}exit code {done.returncode}"


def interpreter(folder: Path, name: str, version: str | None) -> None:
    """A stand-in: answers with its version, or does not run, as a shim of pyenv."""
    answer = "exit 127" if version is None else f"echo {version}"
    (folder / name).write_text(f"#!/bin/sh\n{answer}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("has_3_11", "chosen", "constraints"),
    [(True, "python3.11", "3.11"), (False, "python3.12", "3.12")],
)
def test_make_takes_the_first_python_that_runs(
    tmp_path: Path, has_3_11: bool, chosen: str, constraints: str
) -> None:
    interpreter(tmp_path, "python3.11", "3.11" if has_3_11 else None)
    interpreter(tmp_path, "python3.12", "3.12")
    path = f"{tmp_path}:{os.environ['PATH']}"
    printed = make("-n", "install", f"VENV={tmp_path}/venv", path=path)
    assert f"{chosen} -m venv {tmp_path}/venv" in printed
    assert f"constraints-{constraints}.txt" in printed


def test_make_says_which_python_it_needs(tmp_path: Path) -> None:
    printed = make("install", f"VENV={tmp_path}/venv", "PYTHON=")
    assert "Python 3.11 or 3.12 is needed" in printed
    assert "exit code 2" in printed
    interpreter(tmp_path, "python3.99", "3.99")
    other = make("install", f"VENV={tmp_path}/venv", f"PYTHON={tmp_path}/python3.99")
    assert "use Python 3.11 or 3.12" in other
    assert "exit code 2" in other


def test_make_goes_on_where_tfc_cannot_be_had(tmp_path: Path) -> None:
    """`make tfc` says why; `make test` goes on, and its last line names the coder."""
    for name in ("python3.11", "python3.12"):
        interpreter(tmp_path, name, None)
    path = f"{tmp_path}:{os.environ['PATH']}"
    printed = make("-B", ".venv-tfc/.installed", path=path)
    assert "needs python3.11" in printed
    assert "exit code 2" in printed


def test_make_lists_its_commands() -> None:
    printed = make("help")
    text = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"^([a-z-]+):.*##", text, re.MULTILINE):
        assert re.search(rf"^{target} ", printed, re.MULTILINE), target
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)", text, re.MULTILINE)
    assert phony is not None
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    assert set(phony[1].replace("\\", "").split()) == targets
