"""Model folders: what they hold, and which are refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rdc.architectures import build
from rdc.codec import LearnedCodec
from rdc.codec.exported import ExportedModel, export, load_exported
from rdc.codec.model_folders import SPEC_FILE, shipped_models, shipped_name
from rdc.complexity import count
from rdc.errors import ConfigError, StorageError
from rdc.identity import NUMERICS_VERSION
from rdc.specs.checkpoint import MODEL_DTYPES
from rdc.specs.coding import OperatingPoint
from rdc.system.files import read_json, write_json_atomically
from tests.architectures import COVERING

SPEC = COVERING["conv-factorized-None"]
POINTS = [OperatingPoint(rate=0, lmbda=0.01), OperatingPoint(rate=1, lmbda=0.05)]


def exported_to(folder: Path, **provenance: Any) -> ExportedModel:
    model = build(SPEC, 0, [point.lmbda for point in POINTS])
    return export(model, folder, provenance, POINTS)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = exported_to(tmp_path / "model", a=1)
    read = load_exported(tmp_path / "model")
    assert read.identity == written.identity
    assert read.provenance == written.provenance == {"a": 1}
    assert read.operating_points == written.operating_points == tuple(POINTS)
    peak = count(SPEC).decoder_peak_bytes_per_px
    assert read.decoder_peak_bytes_per_px == written.decoder_peak_bytes_per_px == peak


def test_provenance_is_no_part_of_the_identity(tmp_path: Path) -> None:
    one, other = (exported_to(tmp_path / name, by=name) for name in ("one", "other"))
    assert one.identity == other.identity


def test_damage_is_found(tmp_path: Path) -> None:
    exported_to(tmp_path / "model")
    weights = tmp_path / "model/weights.npz"
    damaged = bytearray(weights.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(StorageError, match="checksum"):
        LearnedCodec.load(tmp_path / "model")
    weights.unlink()
    with pytest.raises(ConfigError, match="a model is a folder"):
        LearnedCodec.load(tmp_path / "model")


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a model is a folder"):
        LearnedCodec.load(tmp_path)
    write_json_atomically(tmp_path / SPEC_FILE, {"stage": "train"})
    with pytest.raises(ConfigError, match="a model is a folder"):
        LearnedCodec.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "schema version 3; .* of version 2"),
        (
            {"numerics_version": NUMERICS_VERSION - 1},
            f"numerics version {NUMERICS_VERSION} says; .* train it again|Train it",
        ),
    ],
)
def test_other_versions_are_refused_in_words(
    tmp_path: Path, changes: dict[str, int], message: str
) -> None:
    exported_to(tmp_path / "model")
    path = tmp_path / "model" / SPEC_FILE
    write_json_atomically(path, read_json(path) | changes)
    with pytest.raises(ConfigError, match=message):
        LearnedCodec.load(tmp_path / "model")


@pytest.mark.parametrize("dtype", MODEL_DTYPES)
def test_a_model_codes_with_the_weights_that_are_stored(
    dtype: str, tmp_path: Path
) -> None:
    """How small they are: `test_stored_weights.py`."""
    model = build(COVERING["elic-mean_scale_hyperprior-conv"], seed=0)
    written = export(model, tmp_path / dtype, {}, POINTS[:1], weights_dtype=dtype)
    x = np.arange(64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)
    encoded = LearnedCodec(written).encoded(x)
    decoded = LearnedCodec.load(tmp_path / dtype).decoded(encoded.data)
    np.testing.assert_array_equal(decoded.y_hat, encoded.y_hat)
    assert decoded.x_hat.shape == x.shape


def test_a_shipped_model_is_known_by_its_spec_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = exported_to(tmp_path / "mine")
    (tmp_path / "mine/weights.npz").unlink()
    shutil.copytree(tmp_path / "mine", tmp_path / "twin")
    monkeypatch.setattr("rdc.codec.model_folders._FOLDER", tmp_path)
    assert shipped_models() == ["mine", "twin"]
    assert shipped_name(written.identity) == "mine"
    assert shipped_name("0" * 16) is None
