"""`rdc compress` and `decompress` on folders: what is done, skipped, refused, kept."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from rdc.cli import main
from rdc.cli.operations import Compression, Decompression
from rdc.cli.processes import default_processes
from rdc.codec.container import unpack
from tests.conftest import REPOSITORY

WAIT_SECONDS = 240


def photograph(seed: int, height: int = 32, width: int = 48) -> Image.Image:
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Five images at several depths, and files that are none."""
    folder = tmp_path / "photographs"
    for i, name in enumerate(
        ("a.png", "b.PNG", "c.webp", "deep/a.png", "deep/er/d.tif")
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        photograph(i).save(path, lossless=True)
    (folder / "notes.txt").write_text("none")
    (folder / ".hidden").mkdir()
    photograph(9).save(folder / ".hidden" / "h.png")
    return folder


@pytest.fixture
def rdc(small_model_dir: Path) -> Callable[..., int]:
    def run(*arguments: object) -> int:
        options = ["--jobs", "1", "--model", str(small_model_dir)]
        return main([*map(str, arguments), *options])

    return run


def in_process(small_model_dir: Path, *arguments: object, jobs: int = 2) -> list[str]:
    """The command line of a process that works with `jobs` more."""
    options = ["--jobs", str(jobs), "--model", str(small_model_dir)]
    return [sys.executable, "-m", "rdc.cli", *map(str, arguments), *options]


def names(folder: Path) -> list[str]:
    """Paths of all files in `folder`."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


OUTPUTS = ["a.rdc", "b.rdc", "c.rdc", "deep/a.rdc", "deep/er/d.rdc"]


def test_there_and_back(rdc, photographs, tmp_path, capsys):
    streams, decoded = tmp_path / "streams", tmp_path / "decoded"
    assert rdc("compress", photographs, streams) == 0
    assert names(streams) == OUTPUTS
    out, err = capsys.readouterr()
    sizes = [path.stat().st_size for path in streams.rglob("*.rdc")]
    mean_bpp = 8 * np.mean(sizes) / (32 * 48)
    assert f"5 images, {sum(sizes)} bytes, mean {mean_bpp:.4f} bpp, " in out
    assert err.count("\n") == 5  # a line each where there is no terminal
    assert rdc("decompress", streams, decoded) == 0
    assert names(decoded) == [name.replace(".rdc", ".png") for name in OUTPUTS]


def test_a_folder_gives_what_single_files_give(rdc, photographs, tmp_path):
    assert rdc("compress", photographs, tmp_path / "streams") == 0
    single = tmp_path / "single.rdc"
    assert rdc("compress", photographs / "deep/er/d.tif", single) == 0
    assert single.read_bytes() == (tmp_path / "streams/deep/er/d.rdc").read_bytes()


def test_finished_outputs_are_skipped_unless_forced(rdc, photographs, tmp_path, capsys):
    streams = tmp_path / "streams"
    assert rdc("compress", photographs, streams) == 0
    (streams / "b.rdc").unlink()
    (streams / "a.rdc").write_bytes(b"kept")
    capsys.readouterr()
    assert rdc("compress", photographs, streams) == 0
    out, err = capsys.readouterr()
    assert "4 of 5 skipped" in err
    assert out.startswith("1 image,")
    assert (streams / "a.rdc").read_bytes() == b"kept"
    assert rdc("compress", photographs, streams) == 0
    assert capsys.readouterr().out == "0 images\n"
    assert rdc("compress", photographs, streams, "--force") == 0
    unpack((streams / "a.rdc").read_bytes())


@pytest.mark.parametrize("damage", [b"", b"no image", None])
def test_one_damaged_file_does_not_stop_the_others(
    rdc, photographs, tmp_path, damage, capsys
):
    streams, decoded = tmp_path / "streams", tmp_path / "decoded"
    bad = photographs / "b.PNG"
    bad.write_bytes(bad.read_bytes()[:-1000] if damage is None else damage)
    assert rdc("compress", photographs, streams) == 2
    out, err = capsys.readouterr()
    assert names(streams) == [name for name in OUTPUTS if name != "b.rdc"]
    assert f"1 of 5 that cannot: {bad}" in err
    assert out.startswith("4 images")

    (streams / "c.rdc").write_bytes((streams / "c.rdc").read_bytes()[:-1])
    assert rdc("decompress", streams, decoded) == 2
    assert names(decoded) == ["a.png", "deep/a.png", "deep/er/d.png"]
    assert f"1 of 4 that cannot: {streams / 'c.rdc'}" in capsys.readouterr().err


def test_two_inputs_with_one_output_are_refused(rdc, photographs, tmp_path, capsys):
    photograph(7).save(photographs / "deep" / "a.jpg")
    assert rdc("compress", photographs, tmp_path / "streams") == 2
    err = capsys.readouterr().err
    assert "a.jpg" in err
    assert "a.png" in err
    assert not (tmp_path / "streams").exists()


def test_folders_that_cannot_work(rdc, photographs, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    for command, arguments, message in (
        ("compress", (empty, tmp_path / "out"), "holds images"),
        ("decompress", (photographs, tmp_path / "out"), "holds .rdc files"),
        ("compress", (photographs, photographs / "a.png"), "is a folder"),
    ):
        assert rdc(command, *arguments) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_settings_at_fault_end_the_command_at_once(rdc, photographs, tmp_path, capsys):
    assert rdc("compress", photographs, tmp_path / "out", "--coder", "huffman") == 2
    assert capsys.readouterr().err.count("huffman") == 1


def test_a_terminal_gets_a_bar(rdc, photographs, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    (photographs / "a.png").write_bytes(b"[bold]")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert rdc("compress", photographs, tmp_path / "streams") == 2
    shown = terminal.getvalue()
    assert "5/5" in shown
    assert "a.png" in shown  # the damaged one
    assert "c.rdc" not in shown


def test_default_processes_go_by_cores_and_images():
    cores = len(os.sched_getaffinity(0))
    few = Decompression(()).images_per_process
    assert default_processes(0, few) == default_processes(2 * few - 1, few) == 1
    assert 1 <= default_processes(2 * few, few) <= 2
    assert default_processes(10**6, few) <= cores
    # Searches take longer than a process takes to start.
    assert Compression((), (("effort", 1),)).images_per_process == 1
    assert Compression((("model", "overfitted_300"),)).images_per_process == 1
    assert Compression((), (("effort", 0),)).images_per_process == few


def test_processes_give_what_one_gives(rdc, small_model_dir, photographs, tmp_path):
    (photographs / "b.PNG").write_bytes(b"")
    arguments = ("compress", photographs, tmp_path / "two", "--verify")
    done = subprocess.run(
        in_process(small_model_dir, *arguments),
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "1 of 5 that cannot" in done.stderr
    assert rdc("compress", photographs, tmp_path / "one") == 2
    assert names(tmp_path / "two") == names(tmp_path / "one")
    for name in names(tmp_path / "one"):
        one, two = ((tmp_path / n / name).read_bytes() for n in ("one", "two"))
        assert one == two


def begun(small_model_dir: Path, folder: Path) -> tuple[subprocess.Popen, Path]:
    """A command on two processes in a group of its own, with one image finished."""
    source, target = folder / "many", folder / "streams"
    source.mkdir()
    for i in range(40):  # each size is compiled anew, so that there is time
        photograph(i, 32, 32 + i).save(source / f"{i:02}.png")
    process = subprocess.Popen(
        in_process(small_model_dir, "compress", source, target),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=REPOSITORY,
    )
    # Not a temporary file of one that is being written.
    until(lambda: target.exists() and any(n.endswith(".rdc") for n in names(target)))
    return process, target


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_ctrl_c_keeps_whole_outputs_alone(small_model_dir, tmp_path):
    process, target = begun(small_model_dir, tmp_path)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(children, timeout=WAIT_SECONDS)
    assert not alive
    found = names(target)
    assert 0 < len(found) < 40
    for name in found:
        assert name.endswith(".rdc")
        unpack((target / name).read_bytes())


def test_processes_end_with_their_parent(small_model_dir, tmp_path):
    process, _ = begun(small_model_dir, tmp_path)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.kill()
    process.communicate(timeout=WAIT_SECONDS)
    _, alive = psutil.wait_procs(children, timeout=WAIT_SECONDS)
    assert not alive


def test_a_killed_process_is_reported(small_model_dir, tmp_path):
    process, target = begun(small_model_dir, tmp_path)
    for child in psutil.Process(process.pid).children():
        if "spawn_main" in " ".join(child.cmdline()):
            child.kill()
            break
    _, err = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 2, err
    assert "smaller --jobs" in err
    assert "Traceback" not in err
    for name in names(target):
        unpack((target / name).read_bytes())
