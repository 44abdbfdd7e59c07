"""Points that may be picked from: a sweep's, a table's, or the reference models.

Of all that was measured, those that compare: one image set, one way of coding, one
training. What is left out is told, and what is ambiguous is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import references
from analysis.comparability import compares
from analysis.decode_times import MAIN_STAGE
from analysis.measures import MEASURES
from analysis.report.data import ReportData, codec_texts
from rdc.errors import ConfigError, DataError
from rdc.measurements.rows import STAGES
from rdc.specs.base import unknown_name

# Of points, what is read; tables have more columns, reference models fewer.
_COLUMNS = (
    *("name", "family", "run_id", "curve_id", "dataset", "image_set"),
    *("coder", "numerics", "effort", "distortion", "differs_in"),
    *("lmbda", "bpp", "psnr_db", "rd_loss", "kflops_per_px"),
)
# In what reference models differ, who were not trained for one study.
_TRAINING = ("steps", "batch_size", "crop_px", "precision")
_TIME = "decode_ms."


@dataclass(frozen=True)
class Device:
    """One that decoders were timed on, and of what its times are; a table of the
    frontier alone knows no more than the id."""

    hardware_id: str
    device_kind: str = "device"
    platform: str = "of unknown kind"
    conditions: str = ""

    def __str__(self) -> str:
        return f"{self.device_kind} ({self.platform}, {self.hardware_id})"

    def answers_to(self, word: str) -> bool:
        """By platform, by a part of its kind, or by the start of its id."""
        word = word.lower()
        return (
            word == self.platform.lower()
            or word in self.device_kind.lower()
            or self.hardware_id.startswith(word)
        )


@dataclass(frozen=True)
class Source:
    """Measured points and where they are from.

    Attributes:
      name: of a folder or file, or of the reference models.
      points: columns as above and decode times as in `frontier`, with the codec
        settings as one text `codec`.
      devices: those with times.
      notes: what must be told of all of them.
    """

    name: str
    points: pd.DataFrame
    devices: tuple[Device, ...]
    notes: tuple[str, ...] = ()


def read_source(path: Path | None) -> Source:
    """A sweep's OUT, a table `frontier` (parquet or CSV), or, for None, the reference
    models.

    Raises:
      DataError: it holds no such table.
    """
    if path is None:
        return _reference_models()
    if path.is_dir():
        data = ReportData.read(path)
        platforms = data.tables["hardware"].set_index("hardware_id")["platform"]
        devices = tuple(
            Device(d["id"], d["name"], platforms[d["id"]], d["conditions"])
            for d in data.devices
        )
        return Source(str(path), _measured(data.frontier), devices)
    table = _read_table(path)
    missing = [name for name in _COLUMNS if name not in table]
    if missing:
        raise DataError(
            f"{path} is a table of the frontier",
            f"no column {', '.join(missing)}",
            "give the OUT of a sweep, or its tables/frontier.parquet",
        )
    points = _measured(table)
    points["codec"] = codec_texts(points)
    timed = [c for c in points if c.startswith(_TIME) and points[c].notna().any()]
    ids = dict.fromkeys(column.split(".")[1] for column in timed)
    return Source(str(path), points, tuple(map(Device, ids)))


def _measured(table: pd.DataFrame) -> pd.DataFrame:
    points = table[table["bpp"].notna()].reset_index(drop=True)
    return points.assign(differs_in=points["differs_in"].fillna(""))


def _read_table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".csv":
            return pd.read_csv(path, dtype={"run_id": str, "curve_id": str})
        return pq.read_table(path).to_pandas()
    except (OSError, ValueError, pa.ArrowInvalid) as error:
        raise DataError(
            "OUT is the folder of a sweep, or a table in parquet or CSV", error
        ) from None


def _reference_models() -> Source:
    points = references.kodak().rename(columns={"label": "_"})
    points = points.assign(
        curve_id=points["run_id"],
        dataset="kodak",
        image_set="kodak",
        effort=0.0,
        differs_in="",
    )
    differing = [name for name in _TRAINING if points[name].nunique() > 1]
    note = f"these models differ in their training ({', '.join(differing)})"
    points["codec"] = codec_texts(points)
    return Source("reference models", points, (), (note,) if differing else ())


def device_of(source: Source, word: str | None) -> Device:
    """The device that a word names; without a word, the only one.

    Raises:
      ConfigError: none or several.
    """
    if not source.devices:
        raise ConfigError(
            "decoders were timed, where a time is asked for",
            f"no decode times of {source.name}",
            "run the stage benchmark of the sweep, or give a limit in kFLOPs/px: the "
            "setting max_kflops",
        )
    found = [d for d in source.devices if word is None or d.answers_to(word)]
    if len(found) == 1:
        return found[0]
    asked = "none" if word is None else repr(word)
    raise ConfigError(
        "the setting device names one device with decode times",
        f"{asked}, which fits {len(found)}",
        f"there are: {'; '.join(map(str, source.devices))}",
    )


def time_column(device: Device, stage: str = MAIN_STAGE) -> str:
    """The column of medians of a device and stage."""
    if stage not in STAGES:
        raise unknown_name("stage", stage, list(STAGES))
    return f"{_TIME}{device.hardware_id}.{stage}"


def timed_on(points: pd.DataFrame, device: Device, stage: str) -> pd.DataFrame:
    """The points with measures of hardware as of this device and stage."""
    time_column(device, stage)
    end = f".{device.hardware_id}.{stage}"
    names = [m.name for m in MEASURES.values() if m.of == "hardware"]
    return points.assign(**{n: points[n + end] for n in names if n + end in points})


def comparable(
    source: Source,
    dataset: str | None = None,
    codec: str | None = None,
    distortion: str | None = None,
    any_training: bool = False,
) -> tuple[pd.DataFrame, list[str]]:
    """The points that compare, and notes on those that were left out.

    Args:
      dataset, codec, distortion: which, where there are several.
      any_training: those that were trained otherwise than most, too.

    Raises:
      ConfigError: there are several and none was chosen.
      DataError: nothing was measured.
    """
    points = source.points
    if points.empty:
        raise DataError("some model was measured", f"none of {source.name}")
    for name, asked in (
        ("dataset", dataset),
        ("codec", codec),
        ("distortion", distortion),
    ):
        points = _only(points, name, asked)
    notes = list(source.notes)
    sets = points["image_set"].value_counts()
    points, note = _kept(points, points["image_set"] == sets.index[0], "other images")
    notes += note
    if not any_training:
        held = list(MEASURES["rd_loss"].within)
        same = compares(points["differs_in"], held)
        texts = {word for text in points["differs_in"] for word in text.split(", ")}
        why = f"other conditions: {', '.join(sorted(texts - {'', *held}))}"
        points, note = _kept(points, same, why)
        notes += note
    elif (points["differs_in"] != "").any():
        notes.append("models of other trainings, data or code are among them")
    return points, notes


def _only(points: pd.DataFrame, name: str, asked: str | None) -> pd.DataFrame:
    known = sorted(points[name].unique())
    if asked is None and len(known) > 1:
        raise ConfigError(
            f"points of one {name} compare",
            f"{len(known)}",
            f"choose one with the setting {name}: {'; '.join(known)}",
        )
    if asked is not None and asked not in known:
        raise unknown_name(name, asked, known)
    return points if asked is None else points[points[name] == asked]


def _kept(
    points: pd.DataFrame, kept: pd.Series, why: str
) -> tuple[pd.DataFrame, list[str]]:
    left_out = points.loc[~kept, "curve_id"].nunique()
    note = f"{left_out} models left out, at some rate or all ({why})"
    return points[kept], [note] if left_out else []


def curves(points: pd.DataFrame) -> list[pd.DataFrame]:
    """The points of each model that none of its own dominates, rate ascending: PSNR
    rises with it."""
    found = []
    for _, rows in points.groupby("curve_id", sort=True):
        rows = rows.sort_values(["bpp", "psnr_db"], ascending=[True, False])
        best_before = np.maximum.accumulate(rows["psnr_db"].to_numpy())[:-1]
        rises = rows["psnr_db"].to_numpy()[1:] > best_before
        found.append(rows[np.concatenate([[True], rises])])
    return found
