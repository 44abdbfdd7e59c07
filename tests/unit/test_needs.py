"""No test is silently skipped: the last line of a run names what was lacking."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import find_browser
from tests.conftest import REPOSITORY
from tests.needs import NEEDS, closing_line, kodak_folder, needs

PROBE = """
import pytest
from tests.needs import needs

def test_of_kodak(kodak): assert (kodak / "kodim01.png").is_file()

@pytest.mark.tfc
def test_of_tfc(): pass

def test_of_the_report():
    needs("browser")

def test_of_photographs(photographs): assert photographs["train"][0].is_file()
"""


def run_without_anything(
    tmp_path: Path, *options: str, **environment: str
) -> subprocess.CompletedProcess:
    """The probe on a machine that has nothing but the installed packages."""
    (tmp_path / "probe.py").write_text(PROBE)
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml"]
    # Else pytest clears away what earlier runs left, which takes as long as it takes.
    command += ["--basetemp", str(tmp_path / "nested")]
    nowhere = str(tmp_path / "nowhere")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    inherited.pop("RDC_TEST_MISSING", None)
    return subprocess.run(
        [*command, "-p", "tests.conftest", str(tmp_path / "probe.py"), *options],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={
            **inherited,
            "PATH": nowhere,
            "PLAYWRIGHT_BROWSERS_PATH": nowhere,
            "RDC_TEST_DATA": nowhere,
            "RDC_TFC_PYTHON": nowhere,
            **environment,
        },
        check=False,
    )


@pytest.mark.parametrize("options", [("-p", "no:xdist"), ("-n", "2")])
def test_the_closing_line_names_what_was_lacking(
    tmp_path: Path, options: tuple
) -> None:
    """In one process, and where the reports come from those of xdist."""
    done = run_without_anything(tmp_path, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    (closing,) = [line for line in lines if line.startswith("Tests not run here")]
    assert "1 for want of the 24 Kodak images (python launch/data.py" in closing
    assert "1 for want of tensorflow-compression (install Python 3.11" in closing
    assert "1 for want of a browser (apt-get install chromium" in closing
    assert lines[-2:] == [closing, lines[-1]]
    assert lines[-1].startswith("1 passed, 3 skipped")


def test_where_all_must_be_there_what_lacks_is_a_failure(tmp_path: Path) -> None:
    done = run_without_anything(tmp_path, RDC_TEST_MISSING="fail")
    assert done.returncode == 1
    assert "needs the 24 Kodak images: python launch/data.py" in done.stdout
    assert "1 passed" in done.stdout
    assert "skipped" not in done.stdout


def test_nothing_is_said_where_all_ran() -> None:
    assert closing_line([]) is None


def test_other_reasons_are_named_too() -> None:
    line = closing_line(["Skipped: needs browser", "Skipped: of its own"] * 2)
    assert line is not None
    assert "2 for want of a browser" in line
    assert "2 skipped (of its own)" in line


def test_the_data_variable_decides_where_kodak_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RDC_TEST_DATA", str(tmp_path))
    monkeypatch.delenv("RDC_TEST_MISSING", raising=False)
    assert kodak_folder() is None
    with pytest.raises(pytest.skip.Exception, match="needs kodak"):
        needs("kodak")
    (tmp_path / "kodak").mkdir()
    for number in range(1, 25):
        (tmp_path / f"kodak/kodim{number:02}.png").touch()
    assert kodak_folder() == tmp_path / "kodak"
    needs("kodak")


def test_a_machine_without_a_browser_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    assert find_browser() is None
    (tmp_path / "chromium").touch(mode=0o755)
    assert find_browser() == tmp_path / "chromium"


def test_nothing_else_skips_a_test_or_looks_beside_the_repository() -> None:
    """All of that is in `tests/needs.py`, where the closing line hears of it."""
    here = {Path(__file__), REPOSITORY / "tests/needs.py"}
    skipping = {"skip", "skipif", "importorskip", "xfail", "skipTest"}
    paths = set((REPOSITORY / "tests").rglob("*.py")) - here
    assert len(paths) > 80
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                assert node.attr not in skipping, f"{path}:{node.lineno}"
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert "shared/data" not in node.value, f"{path}:{node.lineno}"
    assert set(NEEDS) == {"kodak", "image_sets", "kuberay", "browser", "tfc"}
