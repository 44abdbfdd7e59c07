"""Attacks on the bytes of codecs and of a sweep's students, photograph by photograph.

Their file goes on where it was: it is written whole after each photograph.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rdc.codec.learned import LearnedCodec
from rdc.codec.model_folders import shipped_models, trained_as
from rdc.errors import ConfigError, DataError
from rdc.identity import content_id
from rdc.jobs.layout import (
    MODEL_FOLDER,
    RECORD_FILE,
    attempt_folder,
    job_folder,
)
from rdc.jobs.records import Record
from rdc.jobs.split_stages import codec_of
from rdc.jobs.splits import SplitJob, TeacherJob
from rdc.jobs.students import trained_students
from rdc.measurements.rows import Inflation
from rdc.specs.classical import SETTINGS
from rdc.split import folders
from rdc.split.latents import LatentMethod
from rdc.split.robustness import (
    LEVELS,
    Inflated,
    codec_bits,
    method_bits,
    noisy,
)
from rdc.split.specs import InputMethod
from rdc.system.files import read_json, write_bytes_atomically
from rdc.tasks import teachers
from rdc.tasks.labelled import LabelledPhotographs, answered_rows

_COLUMNS = tuple(field.name for field in dataclasses.fields(Inflation))
NOISE, GRADIENT = "noise", "gradient"
Attack = Callable[[np.ndarray, int], np.ndarray]  # (u8[H,W,3], levels) -> u8[H,W,3]


@dataclass(frozen=True)
class Encoder:
    """What makes the bytes, how they are attacked, and what follows them.

    Attributes:
      encode: u8[H,W,3] -> stream.
      attacks: by their names in tables.
      answer: stream -> logits f32[classes]; None: no task follows.
    """

    encode: Callable[[np.ndarray], bytes]
    attacks: Mapping[str, Attack]
    answer: Callable[[bytes], np.ndarray] | None = None


@dataclass(frozen=True)
class Target:
    """What is attacked.

    Attributes:
      name, setting, seed: as of an `Inflation`, there `target`, `setting`, `seed`.
      identity: of all that bytes and answers hang on.
      rows: of the photographs.
      load: gives its networks, when it is its turn.
    """

    name: str
    setting: str
    seed: int
    identity: Mapping[str, Any]
    rows: Sequence[int]
    steps: int
    load: Callable[[], Encoder]

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.name} {self.setting}"

    @property
    def key(self) -> tuple[str, str, str]:
        """As it stands in a file."""
        return self.name, self.setting, str(self.seed)


def codec_targets(
    specs: Iterable[InputMethod], rows: Sequence[int], steps: int
) -> list[Target]:
    """Codecs at one of their rates; classical ones through the first learned.

    Args:
      specs: a codec may be a model's folder, which is called as its training is.

    Raises:
      ConfigError: an unknown codec or rate.
    """
    targets: list[Target] = []
    through: dict[str, Attack] = {}
    source = None
    for spec in sorted(specs, key=lambda spec: spec.codec in SETTINGS):
        codec, rate = codec_of(spec)
        codec.check_point(rate)
        name, attacks = spec.codec, through
        identity = {"codec": codec.codec_id, "rate": rate, "through": source}
        if isinstance(codec, LearnedCodec):
            attacks = {GRADIENT: Inflated(codec_bits(codec, rate), steps)}
            identity["through"] = None
            if name not in shipped_models():
                name = trained_as(Path(name))
        encode = partial(codec.encode, rate=rate)
        load = partial(Encoder, encode, {**attacks, NOISE: noisy})
        target = Target(*(name, spec.setting, 0, identity, rows, steps), load)
        targets.append(target)
        if GRADIENT in attacks and source is None:
            through, source = {f"through {target.title}": attacks[GRADIENT]}, identity
    return targets


def student_targets(
    out: Path, photographs: LabelledPhotographs, rows: Sequence[int], steps: int
) -> list[Target]:
    """The trained students of a sweep, each with those photographs it never saw.

    Raises:
      ConfigError: OUT is no folder of a sweep with trained students.
      DataError: its students answered other photographs.
    """
    found = [*trained_students(out)]
    if not found:
        raise ConfigError(
            "a sweep whose students are attacked has trained some",
            f"none in {out}",
            "name the out=DIR of one of +grid=sc2_mini, or leave --sweep out",
        )
    data_sha256 = photographs.data_sha256
    targets = []
    for job, result, model in found:
        if data_sha256 != (job.test_sha256 or job.data_sha256):
            raise DataError(
                f"the photographs are those that the students of {out} answered",
                photographs.folder,
                "name split.test of that sweep, or else its split.photographs",
            )
        own = {*answered_rows(photographs, job.fold, job.fold_count)} & {*rows}
        identity = {"job": job.job_id, "method": result.method_id}
        target = Target(
            *(result.method, result.setting, result.seed, identity, sorted(own), steps),
            partial(_student, out, model, job, steps),
        )
        targets.append(target)
    return targets


def _student(out: Path, model: Path, job: SplitJob, steps: int) -> Encoder:
    place = job_folder(out, TeacherJob.folder_name, job.teacher)
    record = Record.from_dict(read_json(place / RECORD_FILE))
    teacher = teachers.load(attempt_folder(place, record.attempt) / MODEL_FOLDER)
    method = folders.load(model, teacher.network)
    assert isinstance(method, LatentMethod)
    attack = Inflated(method_bits(method), steps)
    return Encoder(method.encode, {GRADIENT: attack, NOISE: noisy}, method.answer)


def inflate(
    targets: Sequence[Target],
    photographs: LabelledPhotographs,
    file: Path,
    levels: Sequence[int] = LEVELS,
    done: Callable[[str], None] = lambda line: None,
) -> None:
    """Attacks each target on its photographs and writes what came of it.

    What is in the file is not done again. Rows of other targets stay; those of the
    same ones, but of other networks, photographs or steps, give way.

    Args:
      file: CSV with the columns of `rdc.measurements.rows.Inflation`.
      done: is told of each photograph, in a line for people.

    Raises:
      DataError: the file is another one.
    """
    data = {"photographs": photographs.data_sha256, "levels": list(levels)}
    ids = [
        content_id("attack", {**data, **target.identity, "steps": target.steps})
        for target in targets
    ]
    rows = _kept(_read(file), targets, ids)
    known = {(row["attack_id"], row["photograph"]) for row in rows}
    for target, attack_id in zip(targets, ids, strict=True):
        encoder = None
        for i in target.rows:
            name = photographs.names[i]
            if (attack_id, name) not in known:
                encoder = encoder or target.load()
                found = [*_attacked(encoder, target, photographs, i, levels, attack_id)]
                rows += [row.to_dict() for row in found]
                _write(file, rows)
                most = max(row.bytes_after / row.bytes_before - 1 for row in found)
                done(f"{target.title}, {name}: {100 * most:+.0f} % bytes at most")
            else:
                done(f"{target.title}, {name}: is there")


def _attacked(
    encoder: Encoder,
    target: Target,
    photographs: LabelledPhotographs,
    i: int,
    levels: Sequence[int],
    attack_id: str,
) -> Iterator[Inflation]:
    image, label = photographs.image(i), int(photographs.labels[i])
    before, was_right = _sent(encoder, image, label)
    for attack, change in encoder.attacks.items():
        for level in levels:
            after, is_right = _sent(encoder, change(image, level), label)
            yield Inflation(
                target=target.name,
                setting=target.setting,
                seed=target.seed,
                attack=attack,
                photograph=photographs.names[i],
                eps_255=level,
                steps=target.steps,
                bytes_before=before,
                bytes_after=after,
                right_before=was_right,
                right_after=is_right,
                attack_id=attack_id,
            )


def _sent(encoder: Encoder, image: np.ndarray, label: int) -> tuple[int, bool | None]:
    """Bytes, and whether the answer from them is right."""
    data = encoder.encode(image)
    if encoder.answer is None:
        return len(data), None
    return len(data), int(encoder.answer(data).argmax()) == label


def _kept(
    rows: list[dict[str, Any]], targets: Sequence[Target], ids: Sequence[str]
) -> list[dict[str, Any]]:
    asked = {target.key for target in targets}
    return [
        row
        for row in rows
        if row["attack_id"] in ids
        or (row["target"], row["setting"], row["seed"]) not in asked
    ]


def _read(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    with open(file, newline="", encoding="utf-8") as text:
        reader = csv.DictReader(text)
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise DataError(
                "the file to write is new, or one that `rdc inflate` wrote",
                file,
                "name another one",
            )
        return [*reader]


def _write(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes_atomically(file, text.getvalue().encode())
