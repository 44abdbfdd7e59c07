"""The table of allowed imports: data flows conf -> launch -> sweeps -> rdc."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

OURS = {"rdc", "sweeps", "launch", "analysis"}
# Package: (of ours, it may import; of others, it may not).
RULES: dict[str, tuple[set[str], set[str]]] = {
    "rdc": (set(), {"hydra", "omegaconf", "ray"}),
    "sweeps": ({"rdc"}, {"hydra", "omegaconf", "ray", "jax", "flax"}),
    "analysis": ({"rdc"}, {"hydra", "omegaconf", "ray", "jax", "flax"}),
    "launch": ({"rdc", "sweeps", "analysis"}, set()),
}
# Of rdc, what packages without JAX may import: none of these imports it either.
WITHOUT_JAX = (
    "rdc.architectures",
    "rdc.data.image_sets",
    "rdc.data.images",
    "rdc.errors",
    "rdc.system.files",
    "rdc.identity",
    "rdc.jobs.job",
    "rdc.measurements.metrics",
    "rdc.registry",
    "rdc.specs.base",
    "rdc.specs.coding",
    "rdc.specs.components",
    "rdc.specs.training",
)


def imports(path: Path) -> set[str]:
    """Modules that a file imports anywhere, functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def files(package: str) -> list[Path]:
    found = sorted((REPOSITORY / package).rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("package", RULES)
def test_package_imports_only_what_it_may(package: str) -> None:
    allowed, forbidden = RULES[package]
    for path in files(package):
        for module in imports(path):
            top = module.split(".")[0]
            assert top not in OURS - allowed - {package}, f"{path} imports {module}"
            assert top not in forbidden, f"{path} imports {module}"


@pytest.mark.parametrize("package", ["sweeps", "analysis"])
def test_packages_without_jax_import_the_parts_without_jax(package: str) -> None:
    for path in files(package):
        for module in imports(path):
            if module.split(".")[0] == "rdc":
                assert module in WITHOUT_JAX, f"{path} imports {module}"


def test_hydra_and_ray_are_imported_in_launch_alone() -> None:
    for path in (REPOSITORY / "launch").rglob("*.py"):
        names = {module.split(".")[0] for module in imports(path)}
        if "ray" in names:
            at_home = path.parent.name == "executors" or path.name == "submit.py"
            assert at_home, f"Ray outside its executor: {path}"


@pytest.mark.parametrize("module", [*WITHOUT_JAX, "sweeps", "analysis"])
def test_no_jax_is_loaded(module: str) -> None:
    code = f"import {module}, sys; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_configuration_holds_names_and_numbers_alone() -> None:
    found = list((REPOSITORY / "conf").rglob("*.yaml"))
    assert found
    for path in found:
        assert "_target_" not in path.read_text(), path
