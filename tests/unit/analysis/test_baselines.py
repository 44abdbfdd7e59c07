from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from analysis import baselines, references
from rdc.errors import ConfigError
from rdc.jobs.job import parse_job
from rdc.jobs.records import Record
from rdc.system.files import read_json


def test_baselines_carry_their_source() -> None:
    points = baselines.kodak()
    assert set(points["codec"]) > set(baselines.LABELS)
    assert points.notna().all(axis=None)
    with pytest.raises(ConfigError, match="unknown baseline"):
        baselines.kodak_curve("h264")


def _records(kind: str) -> list[Path]:
    found = (folder.glob(f"{kind}/*/*/record.json") for folder in references.FOLDERS)
    return [path for paths in found for path in paths]


def test_kodak_is_known_by_its_images() -> None:
    names = {f"kodim{n:02d}.png" for n in range(1, 25)}
    assert baselines.is_kodak(names)
    assert not baselines.is_kodak(names - {"kodim07.png"})
    assert not baselines.is_kodak(names | {"photo.png"})


def test_reference_models_are_those_of_the_records(tmp_path: Path) -> None:
    folders = [
        shutil.copytree(folder, tmp_path / folder.name) for folder in references.FOLDERS
    ]
    derived = references.derive(folders)
    kept = references.kodak()
    assert len(kept) >= 1
    pd.testing.assert_frame_equal(
        derived,
        kept.drop(columns=["label", "rd_loss_of_mean_psnr"]),
        check_dtype=False,
        check_exact=True,
    )
    assert kept["label"].tolist()[0] == "light, 60,000 steps"


def test_records_of_reference_models_are_of_the_kodak_images() -> None:
    for path in _records("evaluations"):
        result = read_json(path)["result"]
        if result["dataset"] == "kodak":
            images = {image["image"] for image in result["images"]}
            assert baselines.is_kodak(images)


def test_reference_models_have_the_ids_of_what_they_are() -> None:
    """Converted from an earlier layout: identities and checksums hold all the same."""
    records = _records("*")
    assert len(records) >= 40
    for path in records:
        job = parse_job(read_json(path.with_name("spec.json")))
        record = Record.from_dict(read_json(path))
        assert path.parent.name == job.job_id == record.job_id
        assert job.folder(path.parents[3]) == path.parent
