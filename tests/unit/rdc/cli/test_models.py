"""`rdc models`: what comes with the package."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rdc.cli import main
from rdc.codec.exported import load_exported
from rdc.codec.model_folders import DEFAULT_MODEL, model_folder, shipped_models
from rdc.complexity import count


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    assert main(["models", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_shipped_model_is_listed_as_it_is(capsys):
    models = listed(capsys)
    assert sorted(model["name"] for model in models) == shipped_models()
    assert [m["name"] for m in models if m["default"]] == [DEFAULT_MODEL]
    costs = [model["decoder_kflops_per_px"] for model in models]
    assert costs == sorted(costs)
    for model in models:
        exported = load_exported(model_folder(model["name"]))
        assert model["identity"] == exported.identity
        assert model["family"] == exported.model.spec.family
        cost = count(exported.model.spec).kflops_per_px
        assert model["decoder_kflops_per_px"] == pytest.approx(cost)
        points = exported.operating_points
        assert model["lmbdas"] == [point.lmbda for point in points]
        assert model["training"]["recipe"]["steps"] > 0


def test_the_list_for_people_has_the_same_figures(capsys):
    models = listed(capsys)
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    for model in models:
        assert model["identity"] in text
        assert f"{model['bytes'] / 1e6:.2f} MB" in text
        assert f"{model['decoder_kflops_per_px']:.1f} kFLOPs/px" in text
        assert f"{model['training']['recipe']['steps']} steps" in text
        start = model["training"]["init_from"]
        assert start is None or f"from the weights of run {start}" in text
    assert f"{DEFAULT_MODEL} (default)" in text


def test_a_model_without_record_is_listed(
    small_model_dir, tmp_path, monkeypatch, capsys
):
    """What was exported from memory says nothing of a training."""
    (tmp_path / "mine").symlink_to(small_model_dir)
    monkeypatch.setattr("rdc.codec.model_folders._FOLDER", tmp_path)
    (model,) = listed(capsys)
    assert model["name"] == "mine"
    assert model["training"] is None
    assert main(["models"]) == 0
    assert "training    unknown" in capsys.readouterr().out


def test_the_list_needs_no_jax():
    code = (
        "import sys; from rdc.cli import main; main(['models']); "
        "assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
