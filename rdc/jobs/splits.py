"""Jobs about a task behind the codec: teachers and split methods. No JAX here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from rdc.jobs.base import Job
from rdc.specs.tasks import TeacherSpec
from rdc.split.specs import MethodSpec, parse_method


@dataclass(frozen=True, kw_only=True)
class TeacherJob(Job):
    """Train a task network on all folds of labelled photographs but one.

    Attributes:
      weights_sha256: of a file with its weights, which are taken in place of training;
        empty without one.
      dataset: name of the photographs in tables.
      data_sha256: of photographs and labels.
      test_sha256: of other photographs, which it answers; then there is one fold, and
        all of the first are learned. Empty: it answers the fold that it never saw.
    """

    stage: ClassVar[str] = "teacher"
    folder_name: ClassVar[str] = "teachers"
    resumes: ClassVar[bool] = True

    teacher: TeacherSpec
    dataset: str
    data_sha256: str
    test_sha256: str = ""
    weights_sha256: str = ""
    fold: int
    fold_count: int

    def identity(self) -> dict[str, Any]:
        return {
            "teacher": self.teacher.identity(),
            "weights_sha256": self.weights_sha256,
            "dataset": self.dataset,
            "data_sha256": self.data_sha256,
            "test_sha256": self.test_sha256,
            "fold": self.fold,
            "fold_count": self.fold_count,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        names = (
            *("dataset", "data_sha256", "test_sha256", "weights_sha256"),
            *("fold", "fold_count"),
        )
        return cls(
            teacher=TeacherSpec.from_dict(values["teacher"], "split.teacher"),
            **{name: values[name] for name in names},
        )


@dataclass(frozen=True, kw_only=True)
class SplitJob(Job):
    """Train a split method, where it is trained, and measure it on one fold.

    Attributes:
      codec_id: identity of the learned codec whose streams are the method's; empty
        without one.
      teacher: job_id of the teacher that never saw this fold.
      test_sha256: as of its teacher.
      unlabelled_sha256: of the photographs without labels that it learns from, too;
        empty where it does not.
      seed: of its training.
    """

    stage: ClassVar[str] = "split"
    folder_name: ClassVar[str] = "splits"
    resumes: ClassVar[bool] = True
    parent_folder_name: ClassVar[str] = TeacherJob.folder_name

    method: MethodSpec
    codec_id: str = ""
    teacher: str
    dataset: str
    data_sha256: str
    unlabelled_sha256: str = ""
    test_sha256: str = ""
    fold: int
    fold_count: int
    seed: int

    def identity(self) -> dict[str, Any]:
        return {
            "method": self.method.identity(),
            "codec_id": self.codec_id,
            "teacher": self.teacher,
            "dataset": self.dataset,
            "data_sha256": self.data_sha256,
            "unlabelled_sha256": self.unlabelled_sha256,
            "test_sha256": self.test_sha256,
            "fold": self.fold,
            "fold_count": self.fold_count,
            "seed": self.seed,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        names = (
            *("codec_id", "teacher", "dataset", "data_sha256", "unlabelled_sha256"),
            *("test_sha256", "fold", "fold_count", "seed"),
        )
        return cls(
            method=parse_method(values["method"]),
            **{name: values[name] for name in names},
        )
