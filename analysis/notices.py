"""What a reader of the tables must know of the records: OUT/tables/notices.json."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from rdc.jobs.layout import TABLES_FOLDER
from rdc.system.files import read_json, write_json_atomically

Notes = list[dict[str, str]]


def write_notices(out: Path, jobs: pd.DataFrame) -> list[tuple[str, str]]:
    """Writes them from one row per record, as in `analysis.record_rows.ROWS`.

    Returns:
      Record and problem of each that could not be read.
    """
    unreadable = jobs.loc[jobs["problem"].notna(), ["record", "problem"]]
    planned = jobs["planned_hardware_id"]
    elsewhere = jobs[planned.notna() & (planned != jobs["hardware_id"])]
    names = ["record", "planned_hardware_id", "hardware_id"]
    value = {
        "problems": unreadable.to_dict("records"),
        "elsewhere": elsewhere[names].fillna("unknown").to_dict("records"),
    }
    write_json_atomically(_path(out), value, durable=False)
    return list(unreadable.itertuples(index=False, name=None))


def problems(out: Path) -> Notes:
    """Records that the last `gather` left out: `record` and `problem` of each."""
    return _read(out, "problems")


def elsewhere(out: Path) -> Notes:
    """Jobs that ran on other hardware than planned: `record`, `planned_hardware_id`
    and the actual `hardware_id` of each."""
    return _read(out, "elsewhere")


def _read(out: Path, name: str) -> Notes:
    try:
        return read_json(_path(out))[name]
    except FileNotFoundError:
        return []


def _path(out: Path) -> Path:
    return Path(out) / TABLES_FOLDER / "notices.json"
