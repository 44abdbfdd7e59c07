"""Errors that cross processes, and files that are whole or absent."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from rdc.codec import BitstreamError
from rdc.errors import ConfigError, DiskFullError, RdcError, StorageError
from rdc.system.files import read_json, write_bytes_atomically, write_json_atomically


@pytest.mark.parametrize(
    "kind", [RdcError, ConfigError, StorageError, DiskFullError, BitstreamError]
)
def test_errors_cross_processes_unchanged(kind: type[RdcError]) -> None:
    error = kind("a rule holds", 3, "do something")
    assert str(error) == "a rule holds; got 3. Do something."
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert vars(again) == vars(error)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space")])
def test_an_interrupted_write_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "file"
    write_bytes_atomically(path, b"old")

    def fail(descriptor: int) -> None:
        raise error

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises((KeyboardInterrupt, DiskFullError)):
        write_bytes_atomically(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_records_that_were_changed_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json_atomically(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    path.write_text(path.read_text().replace("1", "2", 1))
    with pytest.raises(StorageError, match="checksum"):
        read_json(path)
