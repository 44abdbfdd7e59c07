"""Who may import whom: data flows conf -> launch -> sweeps -> rdc, and so on inside."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.modules import OURS, REPOSITORY, circle, imports, modules, our_imports

# Package: (of ours, it may import; of others, it may not).
RULES: dict[str, tuple[set[str], set[str]]] = {
    "rdc": (set(), {"hydra", "omegaconf", "ray"}),
    "sweeps": ({"rdc"}, {"hydra", "omegaconf", "ray", "jax", "flax"}),
    "analysis": ({"rdc"}, {"hydra", "omegaconf", "ray", "jax", "flax"}),
    "launch": ({"rdc", "sweeps", "analysis"}, set()),
}
# Inside rdc every arrow goes up in this list: a module imports its own part and parts
# above it. A part is a package or a module.
ORDER = (
    "rdc.errors",
    "rdc.identity",
    "rdc.system",
    "rdc.data",
    "rdc.ops",
    "rdc.specs",
    "rdc.layers",
    "rdc.transforms",
    "rdc.hyper_transforms",
    "rdc.entropy_models",
    "rdc.registry",
    "rdc.model",
    "rdc.architectures",
    "rdc.complexity",
    "rdc.entropy_coders",
    "rdc.exact",
    "rdc.overfitted",
    "rdc.codec",
    "rdc.measurements",
    "rdc.training",
    "rdc.tasks",
    "rdc.split",
    "rdc.compiler",
    "rdc.jobs",
    "rdc.cli",
)
# Of rdc, what packages without JAX may import; a package stands for all in it.
WITHOUT_JAX = (
    "rdc.architectures",
    "rdc.codec.base",
    "rdc.codec.classical",
    "rdc.codec.container",
    "rdc.codec.limits",
    "rdc.codec.model_folders",
    "rdc.data",
    "rdc.errors",
    "rdc.identity",
    "rdc.jobs.base",
    "rdc.jobs.carried_images",
    "rdc.jobs.estimates",
    "rdc.jobs.job",
    "rdc.jobs.layout",
    "rdc.jobs.parcel",
    "rdc.jobs.plan_row",
    "rdc.jobs.porter",
    "rdc.jobs.records",
    "rdc.jobs.splits",
    "rdc.jobs.students",
    "rdc.measurements.metrics",
    "rdc.measurements.rows",
    "rdc.ops.distortions",
    "rdc.ops.ms_ssim_constants",
    "rdc.overfitted.schedule",
    "rdc.overfitted.spec",
    "rdc.registry",
    "rdc.specs",
    "rdc.split.network_specs",
    "rdc.split.specs",
    "rdc.system.code",
    "rdc.system.environment",
    "rdc.system.guard",
    "rdc.system.store",
    "rdc.system.files",
    "rdc.system.user_cache",
    "rdc.tasks.labelled",
    "rdc.tasks.photographs",
    "rdc.tasks.readers",
)
MAX_LINES = 400
# Files that the README has its reader write.
TO_BE_WRITTEN = {"rdc/transforms/mine.py"}


def part(module: str) -> str:
    return ".".join(module.split(".")[:2])


def listed_without_jax() -> dict[str, Path]:
    return {
        module: path
        for module, path in modules("rdc").items()
        if any(f"{module}.".startswith(f"{name}.") for name in WITHOUT_JAX)
    }


@pytest.mark.parametrize("package", RULES)
def test_package_imports_only_what_it_may(package: str) -> None:
    allowed, forbidden = RULES[package]
    for path in modules(package).values():
        for found in imports(path):
            assert found.top not in set(OURS) - allowed - {package}, (path, found.name)
            assert found.top not in forbidden, (path, found.name)


def test_every_part_of_rdc_has_its_place_in_the_order() -> None:
    parts = {part(module) for module in modules("rdc")} - {"rdc"}
    assert sorted(ORDER) == sorted(parts)


def test_arrows_inside_rdc_go_up_the_order() -> None:
    place = {name: number for number, name in enumerate(ORDER)}
    against = [
        f"{module} imports {target}"
        for module, targets in our_imports("rdc").items()
        for target in targets
        if place[part(target)] > place[part(module)]
    ]
    assert against == []


@pytest.mark.parametrize("package", OURS)
def test_modules_import_each_other_in_no_circle(package: str) -> None:
    """Not even among the modules of one part, when they are imported."""
    assert circle(our_imports(package, at_start=True)) is None


def test_hydra_is_at_home_in_the_configuration_and_ray_in_the_executors() -> None:
    homes = {
        "hydra": ("launch.config.",),
        "omegaconf": ("launch.config.",),
        "ray": ("launch.executors.", "launch.submission."),
    }
    used = set()
    for module, path in modules("launch").items():
        for found in imports(path):
            if found.top in homes:
                assert module.startswith(homes[found.top]), (module, found.name)
                used.add(found.top)
    assert used == set(homes)


@pytest.mark.parametrize("package", ["sweeps", "analysis"])
def test_packages_without_jax_import_the_parts_without_jax(package: str) -> None:
    listed = listed_without_jax()
    for path in modules(package).values():
        for found in imports(path):
            if found.top == "rdc":
                names = {found.name, found.name.rpartition(".")[0]}
                assert names & set(listed), (path, found.name)


def test_no_jax_is_loaded() -> None:
    """Every module of these packages is really imported; an empty list would pass."""
    listed = listed_without_jax()
    for name in WITHOUT_JAX:
        assert any(f"{module}.".startswith(f"{name}.") for module in listed), name
    names = [*listed, *modules("sweeps"), *modules("analysis")]
    assert len(names) > 50
    code = f"""
import importlib, sys
for name in {names}:
    importlib.import_module(name)
    assert "jax" not in sys.modules, f"{{name}} loads JAX"
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr


def test_configuration_holds_names_and_numbers_alone() -> None:
    found = list((REPOSITORY / "conf").rglob("*.yaml"))
    assert found
    for path in found:
        assert "_target_" not in path.read_text(), path


def sources() -> list[Path]:
    """Everything written by hand: what is in the packages, their tests, at the top."""
    folders = (*OURS, "tests", "docs", "conf")
    return [
        path
        for folder in folders
        for path in sorted((REPOSITORY / folder).rglob("*"))
        if path.suffix in {".py", ".js", ".css", ".html", ".md", ".yaml"}
    ] + [path for path in REPOSITORY.glob("*") if path.suffix in {".py", ".md"}]


def test_no_file_is_long() -> None:
    code = [path for path in sources() if path.suffix in {".py", ".js", ".css"}]
    assert len(code) > 150
    lengths = {path: len(path.read_text().splitlines()) for path in code}
    assert {path: n for path, n in lengths.items() if n > MAX_LINES} == {}


def test_files_that_are_named_exist() -> None:
    """In comments, docstrings and documents; the CHANGELOG may name what is gone."""
    folders = "|".join((*OURS, "tests", "conf", "docs"))
    endings = "py|md|js|css|html|yaml|csv|json|npz"
    path_of_ours = re.compile(rf"(?<![\w/.-])(?:{folders})/[\w./-]*\w\.(?:{endings})\b")
    file_of_tests = re.compile(r"(?<![\w/.])test_\w+\.py\b")
    names = {path.name for path in (REPOSITORY / "tests").rglob("*.py")}
    gone = []
    for path in set(sources()) - {REPOSITORY / "CHANGELOG.md"}:
        text = path.read_text()
        for named in set(path_of_ours.findall(text)) - TO_BE_WRITTEN:
            if not (REPOSITORY / named).exists():
                gone.append(f"{path}: {named}")
        for named in file_of_tests.findall(text):
            if named not in names:
                gone.append(f"{path}: {named}")
    assert gone == []
