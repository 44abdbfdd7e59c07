"""An OUT of an earlier version: nothing of it is lost, nothing of it is misread."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rdc.errors import ConfigError, StorageError
from rdc.jobs.layout import job_folder
from rdc.system.files import read_json, write_json_atomically
from sweeps.migration import is_due, migrate
from sweeps.outputs import Outputs
from sweeps.state import JobFolder

RUN = "9cc1359626d692a8"


def record(version: int, **result) -> dict:
    """As versions 1 and, in its first days, 2 wrote it."""
    return {
        "stage": "train",
        "job_id": RUN,
        "status": "ok",
        "attempt": 1,
        "error": None,
        "seconds": 77.817,
        "result": {"arch_id": "0925aa0e3cc6fab3", "model_dir": "model", **result},
        "environment": {"git_sha": None, "jax_version": "0.10.2"},
        "schema_version": version,
    }


@pytest.fixture
def old(tmp_path) -> Outputs:
    """OUT as a sweep of version 1 left it, its driver killed."""
    out = tmp_path / "out"
    folder = job_folder(out, "runs", RUN)
    write_json_atomically(
        out / "sweep.json",
        {
            "schema_version": 1,
            "grid": "rdc_smoke",
            "config": {"launcher": "local", "retry_failed": False},
            "stages": ["plan", "train"],
            "created_at": "2026-11-21T10:00:00Z",
        },
    )
    row = {"run_id": RUN, "train_json": '{"steps": 4}', "lmbda": 0.0125}
    pq.write_table(pa.Table.from_pylist([row]), out / "plan.parquet")
    spec = {"stage": "train", "train": {"lmbda": 0.0125}, "data_sha256": "31e9"}
    write_json_atomically(folder / "spec.json", spec)
    for path in (folder / "record.json", folder / "attempts/1/record.json"):
        write_json_atomically(path, record(1, steps=4, rates_together=1))
    (folder / "attempts/1/model").mkdir()
    (folder / "attempts/1/model/weights.npz").write_bytes(bytes(range(256)))
    lease = {"token": "0" * 32, "pid": 1, "started_at": 0, "host": "a", "machine": "a"}
    write_json_atomically(out / "driver.json", lease)
    (out / ".driver.lock").touch()
    return Outputs(out)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("driver.json", ".driver.lock")
    }


def test_all_of_version_1_is_set_aside(old):
    before = contents(old.folder)
    assert len(before) == 6
    [said] = migrate(old)
    assert "version 1" in said
    assert "version_1/" in said
    assert "\n" not in said
    assert contents(old.folder / "version_1") == before
    kept = {"driver.json", ".driver.lock", "version_1"}  # the lease is the new driver's
    assert {path.name for path in old.folder.iterdir()} == kept
    assert list(migrate(old)) == []


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_an_interrupted_migration_goes_on(old, moves, monkeypatch):
    before, done, replace = contents(old.folder), [], os.replace

    def fails(source, target):
        if len(done) == moves:
            raise OSError(5, "Input/output error")
        done.append(source)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("sweeps.migration.os.replace", fails)
        with pytest.raises(StorageError):
            list(migrate(old))
    assert is_due(old), "sweep.json, which tells the version, goes last"
    assert len(list(migrate(old))) == 1
    assert contents(old.folder / "version_1") == before


def test_records_from_before_a_field_was_added_count(tmp_path):
    folder = JobFolder(job_folder(tmp_path, "runs", RUN), RUN, Outputs(tmp_path))
    write_json_atomically(folder.path / "record.json", record(2))
    found = folder.record()
    assert found is not None
    assert (found.status, found.exit_code, found.epoch) == ("ok", None, None)


def test_a_newer_record_is_refused_not_set_aside(tmp_path):
    folder = JobFolder(job_folder(tmp_path, "runs", RUN), RUN, Outputs(tmp_path))
    path = folder.path / "record.json"
    write_json_atomically(path, {**record(3), "new": True})
    with pytest.raises(ConfigError, match="version 2 or an earlier one; got version 3"):
        folder.record()
    assert read_json(path)["new"]
