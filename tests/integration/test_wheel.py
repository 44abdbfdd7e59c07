"""The wheel, installed: what it holds, and that it runs with what it declares alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PathDistribution, distribution, packages_distributions
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

from rdc.data.images import read_image
from tests.modules import OURS, REPOSITORY

SOURCES = (*OURS, "conf", "pyproject.toml", "setup.py", "README.md", "LICENSE")
# Python runs it at its start: modules of these names are not there.
BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"{{name}} is not installed here", name=name)

sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel of this tree is installed in, without dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:  # a build in the tree itself would leave its folders there
        path = REPOSITORY / name
        if path.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, source / name, ignore=ignored)
        else:
            shutil.copy(path, source / name)
    offline = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
    pip = (sys.executable, "-m", "pip")
    build = ("wheel", "--no-build-isolation", "--wheel-dir", folder, source)
    subprocess.run([*pip, *build[:1], *offline, *build[1:]], check=True)
    (wheel,) = folder.glob("*.whl")
    target = ("--no-compile", "--target", folder / "site", wheel)
    subprocess.run([*pip, "install", *offline, *target], check=True)
    return folder / "site"


def run(
    site: Path, folder: Path, *command: object, blocked: set[str] | None = None
) -> subprocess.CompletedProcess:
    """Runs Python on the installed wheel, `blocked` modules hidden from it."""
    (folder / "sitecustomize.py").write_text(BLOCKER.format(blocked=blocked or {""}))
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{folder}"},
        check=False,
    )


def undeclared(site: Path) -> set[str]:
    """Top-level modules that `pip install` of the wheel alone would not bring.

    Whatever is installed here and is no dependency of the codec, however indirect;
    our own packages beside `rdc` too.
    """
    (info,) = site.glob("rdc_frontier-*.dist-info")
    brought: set[tuple[str, str]] = set()
    waiting = [(PathDistribution(info), "")]
    while waiting:
        package, extra = waiting.pop()
        for requirement in map(Requirement, package.requires or ()):
            marker = requirement.marker
            if marker is not None and not marker.evaluate({"extra": extra}):
                continue
            for wanted in ("", *requirement.extras):
                key = (canonicalize_name(requirement.name), wanted)
                if key not in brought:
                    brought.add(key)
                    waiting.append((distribution(requirement.name), wanted))
    names = {name for name, _ in brought}
    modules = {
        module
        for module, packages in packages_distributions().items()
        if not names & set(map(canonicalize_name, packages))
    }
    return (modules | set(OURS)) - {"rdc"}


@pytest.fixture(scope="module")
def missing(site: Path) -> set[str]:
    found = undeclared(site)
    assert found >= {"ray", "hydra", "omegaconf", "pandas", "pyarrow", "matplotlib"}
    assert found >= {"sklearn", "skimage", "pooch", "grain", "sweeps", "launch"}
    assert not found & {"jax", "flax", "numpy", "scipy", "PIL", "constriction"}
    return found


def test_everything_that_is_not_code_is_in_the_wheel(site: Path) -> None:
    for folder, inside in {
        "conf": "launch/conf",
        "analysis/baselines": "analysis/baselines",
        "analysis/report/templates": "analysis/report/templates",
        "rdc/codec/models": "rdc/codec/models",
    }.items():
        here = contents(REPOSITORY / folder)
        assert here
        assert contents(site / inside) == here
    for name in ("tests", "conf", "docs"):
        assert not (site / name).exists()


def contents(folder: Path) -> Mapping[Path, bytes]:
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_codec_runs_with_its_own_dependencies_alone(
    site: Path,
    missing: set[str],
    photographs: dict[str, list[Path]],
    tmp_path: Path,
) -> None:
    """Without Ray, Hydra, pandas, plots; `rdc info` without JAX, too."""
    x = read_image(photographs["eval"][0])[:96, :128]
    Image.fromarray(x).save(tmp_path / "x.png")
    rdc = site / "bin/rdc"  # the console script, whose home is launch
    missing = missing - {"launch"}
    for command in ("compress x.png x.rdc", "decompress x.rdc x_hat.png"):
        done = run(site, tmp_path, rdc, *command.split(), blocked=missing)
        assert done.returncode == 0, done.stdout + done.stderr
    x_hat = read_image(tmp_path / "x_hat.png")
    assert x_hat.shape == x.shape
    assert np.mean(np.square(x_hat.astype(float) - x)) < 255**2 / 10**2.5
    without_jax = missing | {"jax", "jaxlib", "flax"}
    done = run(site, tmp_path, rdc, "info", "x.rdc", blocked=without_jax)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "128" in done.stdout
    done = run(site, tmp_path, rdc, "pick", blocked=missing)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "pip install 'rdc-frontier[report]'" in done.stderr


def test_what_is_blocked_cannot_be_imported(
    site: Path, missing: set[str], tmp_path: Path
) -> None:
    """The test above would prove nothing otherwise."""
    for code in ("import ray", "import launch.sweep", "import hydra.core"):
        done = run(site, tmp_path, "-c", code, blocked=missing)
        assert "is not installed here" in done.stderr
    done = run(site, tmp_path, "-c", "import rdc; print(rdc.__file__)", blocked=missing)
    assert Path(done.stdout.strip()).is_relative_to(site)


def test_commands_find_their_configuration_in_the_wheel(
    site: Path, tmp_path: Path
) -> None:
    done = run(site, tmp_path, "-m", "launch.sweep", "--help")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rdc_mini" in done.stdout
    grids = site / "launch/conf/grid"
    (grids / "only_here.yaml").write_text("points: []\n")
    done = run(site, tmp_path, "-m", "launch.sweep", "--help")
    assert "only_here" in done.stdout
