"""`rdc compress`, `decompress` and `info` on single files."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdc.cli import main
from rdc.codec import LearnedCodec, refinement
from rdc.codec.container import Header, pack, unpack
from rdc.codec.numerics import NUMERICS
from rdc.entropy_coders import tfc_coder
from rdc.entropy_coders.coders import CODERS
from tests.conftest import REPOSITORY

HEIGHT, WIDTH = 40, 60  # of `x`


@pytest.fixture
def stream(codec: LearnedCodec, x: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "image.rdc"
    path.write_bytes(codec.compress(x))
    return path


def test_damaged_streams_leave_no_output(rdc, codec, stream, tmp_path, capsys):
    whole = stream.read_bytes()
    out = tmp_path / "out"
    out.mkdir()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 4
    for damaged in (b"", b"\x89PNG", whole[:-1], bytes(flipped), whole * 2):
        stream.write_bytes(damaged)
        assert rdc("decompress", stream, out / "a.png") == 2
        assert rdc("info", stream) == 2
        assert "Traceback" not in capsys.readouterr().err
    assert not list(out.iterdir())


def test_an_output_is_kept_where_its_successor_fails(rdc, stream, tmp_path):
    out = tmp_path / "a.png"
    assert rdc("decompress", stream, out) == 0
    before = out.read_bytes()
    stream.write_bytes(stream.read_bytes()[:-1])
    assert rdc("decompress", stream, out) == 2
    assert out.read_bytes() == before


def test_a_stream_of_another_model_is_refused(rdc, stream, tmp_path, capsys):
    data = pack(Header(model_id=bytes(8), height_px=40, width_px=60), bytes(100))
    stream.write_bytes(data)
    assert rdc("decompress", stream, tmp_path / "a.png") == 2
    assert "model that wrote it" in capsys.readouterr().err


def test_verify_refuses_what_decodes_to_other_latents(
    rdc, codec, x, tmp_path, monkeypatch, capsys
):
    source, out = tmp_path / "a.png", tmp_path / "a.rdc"
    Image.fromarray(x).save(source)
    decoded = LearnedCodec.decoded

    def damaged(self, data):
        found = decoded(self, data)
        y_hat = found.y_hat.copy()
        y_hat[0, 0, 0] += 1
        return replace(found, y_hat=y_hat)

    monkeypatch.setattr(LearnedCodec, "decoded", damaged)
    assert rdc("compress", source, out, "--verify") == 2
    assert "latents that were encoded" in capsys.readouterr().err
    assert not out.exists()
    assert rdc("compress", source, out) == 0  # nobody looked


@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_paths_that_cannot_work(rdc, x, tmp_path, command, capsys):
    source = tmp_path / "a.png"
    Image.fromarray(x).save(source)
    folder = tmp_path / "folder"
    folder.mkdir()
    for arguments, message in (
        ((tmp_path / "missing.png", tmp_path / "a"), "missing.png"),
        ((source, folder), "a folder"),
        ((source, source), "IN and OUT differ"),
    ):
        before = source.read_bytes()
        assert rdc(command, *arguments) == 2
        assert message in capsys.readouterr().err
        assert source.read_bytes() == before


def test_an_output_that_cannot_be_written(rdc, stream, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert rdc("decompress", stream, tmp_path / "file" / "a.png") == 2
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--coder", "huffman"], "range, tfc, rans"),
        (["--numerics", "roman"], "native, exact"),
        (["--max-pixels", "100"], "at most 100 pixels"),
        (["--max-pixels", "100"], "with --max-pixels"),
        (["--max-pixels", "0"], "positive"),
        (["--quality", "2"], "quality is 1"),
        (["--quality", "0"], "quality is 1"),
        (["--effort", "4"], "effort is 0 to 3"),
    ],
)
def test_settings_that_cannot_work(rdc, x, tmp_path, arguments, message, capsys):
    source = tmp_path / "a.png"
    Image.fromarray(x).save(source)
    assert rdc("compress", source, tmp_path / "a.rdc", *arguments) == 2
    assert message in capsys.readouterr().err


def test_an_absent_coder_is_named(rdc, x, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RDC_TFC_PYTHON", str(tmp_path / "nothing"))
    tfc_coder._worker.cache_clear()  # of other tests
    Image.fromarray(x).save(tmp_path / "a.png")
    arguments = (tmp_path / "a.png", tmp_path / "a.rdc", "--coder", "tfc")
    assert rdc("compress", *arguments) == 2
    assert "make tfc" in capsys.readouterr().err


def test_decoding_too_many_pixels_is_refused(rdc, stream, tmp_path, capsys):
    arguments = (stream, tmp_path / "a.png", "--max-pixels", "100")
    assert rdc("decompress", *arguments) == 2
    assert "at most 100 pixels" in capsys.readouterr().err


@pytest.mark.parametrize("numerics", NUMERICS)
def test_info(rdc, codec, x, tmp_path, numerics, capsys):
    source, out = tmp_path / "a.png", tmp_path / "a.rdc"
    Image.fromarray(x).save(source)
    assert rdc("compress", source, out, "--numerics", numerics) == 0
    capsys.readouterr()
    assert rdc("info", out, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    size = out.stat().st_size
    assert found["file"] == str(out)
    assert (found["width_px"], found["height_px"]) == (WIDTH, HEIGHT)
    assert found["bytes"] == size
    assert found["bpp"] == pytest.approx(8 * size / (HEIGHT * WIDTH))
    assert found["model_id"] == out.read_bytes()[8:16].hex()
    assert found["model"] is None
    assert (found["coder"], found["numerics"], found["rate"]) == ("range", numerics, 0)
    assert rdc("info", out) == 0
    readable = capsys.readouterr().out
    for part in (f"{WIDTH} x {HEIGHT}", f"{size} bytes", "range", numerics):
        assert part in readable


def test_models_that_come_with_the_program_go_by_name(
    small_model_dir, stream, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("rdc.codec.model_folders._FOLDER", small_model_dir.parent)
    name = small_model_dir.name
    arguments = ["decompress", str(stream), str(tmp_path / "a.png"), "--model", name]
    assert main(arguments) == 0
    capsys.readouterr()
    assert main(["info", str(stream)]) == 0
    assert f"({name})" in capsys.readouterr().out


def test_info_of_a_newer_program(rdc, tmp_path, capsys):
    header = Header(
        model_id=bytes(8), height_px=4, width_px=5, coder_id=99, numerics_id=98
    )
    path = tmp_path / "a.rdc"
    path.write_bytes(pack(header, b""))
    assert rdc("info", path) == 0
    readable = capsys.readouterr().out
    assert "unknown (99)" in readable
    assert "unknown (98)" in readable


def test_help_states_what_happens_to_images(capsys):
    with pytest.raises(SystemExit):
        main(["compress", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for phrase in (
        "8 bits per channel",
        "grey becomes three equal channels",
        "composited on white",
        "first frame",
        "16 bits per channel are refused",
    ):
        assert phrase in text
    assert "|".join(sorted(CODERS)) in text
    assert "|".join(sorted(NUMERICS)) in text


def test_quality_and_effort_reach_the_codec(rdc, codec, x, tmp_path, monkeypatch):
    searches = [replace(search, steps=3) for search in refinement.SEARCHES]
    monkeypatch.setattr(refinement, "SEARCHES", searches)
    source, out = tmp_path / "a.png", tmp_path / "a.rdc"
    Image.fromarray(x).save(source)
    for verify in ([], ["--verify"]):
        for effort in (0, 2):
            options = ("--quality", 1, "--effort", effort, *verify)
            assert rdc("compress", source, out, *options) == 0
            assert out.read_bytes() == codec.compress(x, quality=1, effort=effort)


@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_classical_codecs_are_pointed_elsewhere(x, stream, tmp_path, command, capsys):
    source = tmp_path / "a.png"
    Image.fromarray(x).save(source)
    given = source if command == "compress" else stream
    arguments = [command, str(given), str(tmp_path / "out"), "--model", "webp"]
    assert main(arguments) == 2
    assert "any image program" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_streams_of_the_second_coder_are_decoded_only_when_asked_for(
    rdc, stream, tmp_path, monkeypatch, capsys
):
    """Whoever sends a stream must not choose which program runs."""
    monkeypatch.setenv("RDC_TFC_PYTHON", str(tmp_path / "nothing"))
    tfc_coder._worker.cache_clear()
    header, payload = unpack(stream.read_bytes())
    stream.write_bytes(pack(replace(header, coder_id=2), payload))
    assert rdc("decompress", stream, tmp_path / "a.png") == 2
    assert "--coder tfc" in capsys.readouterr().err
    assert rdc("decompress", stream, tmp_path / "a.png", "--coder", "tfc") == 2
    assert "make tfc" in capsys.readouterr().err  # now it is looked for


INFO = """
import sys
from rdc.cli import main

assert main(["info", sys.argv[1]]) == 0
heavy = {"jax", "flax", "scipy", "rich", "pandas", "constriction", "ray", "hydra"}
print(sorted(heavy & set(sys.modules)), len(sys.modules))
"""


def test_info_answers_without_what_it_does_not_need(stream):
    """Modules are counted in place of time: 269 are 0.2 s, JAX alone brings 1000."""
    command = [sys.executable, "-c", INFO, str(stream)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    heavy, modules = done.stdout.splitlines()[-1].rsplit(" ", 1)
    assert heavy == "[]"
    assert int(modules) < 400
