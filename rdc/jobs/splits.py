"""Jobs about a task behind the codec: teachers and split methods. No JAX here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from rdc.jobs.base import Job
from rdc.specs.tasks import TeacherSpec
from rdc.split.specs import MethodSpec, parse_method


@dataclass(frozen=True, kw_only=True)
class _TaskJob(Job):
    """On photographs of a task: those that are learned, and those that are answered.

    Attributes:
      dataset: name of the photographs in tables.
      data_sha256: of photographs and annotations.
      test_sha256: of other photographs, which it answers; then there is one fold, and
        all of the first are learned. Empty: it answers the fold that it never saw.
      answered_px: see `rdc.tasks.base.Task`.
    """

    dataset: str
    data_sha256: str
    test_sha256: str = ""
    fold: int
    fold_count: int
    answered_px: int | None = None

    def _identity(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in _DATA}
        if self.answered_px is not None:
            found["answered_px"] = self.answered_px
        return found


_DATA = ("dataset", "data_sha256", "test_sha256", "fold", "fold_count")


def _data_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `_TaskJob`."""
    found = {name: values[name] for name in _DATA}
    return {**found, "answered_px": values.get("answered_px")}


@dataclass(frozen=True, kw_only=True)
class TeacherJob(_TaskJob):
    """Train a task network on all folds of photographs but one.

    Attributes:
      weights_sha256: of a file with its weights, which are taken in place of training;
        empty without one.
    """

    stage: ClassVar[str] = "teacher"
    folder_name: ClassVar[str] = "teachers"
    resumes: ClassVar[bool] = True

    teacher: TeacherSpec
    weights_sha256: str = ""

    def identity(self) -> dict[str, Any]:
        return {
            "teacher": self.teacher.identity(),
            "weights_sha256": self.weights_sha256,
            **self._identity(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            teacher=TeacherSpec.from_dict(values["teacher"], "split.teacher"),
            weights_sha256=values["weights_sha256"],
            **_data_of(values),
        )


@dataclass(frozen=True, kw_only=True)
class SplitJob(_TaskJob):
    """Train a split method, where it is trained, and measure it on one fold.

    Attributes:
      codec_id: identity of the learned codec whose streams are the method's, or of the
        student whose encoder and prior it takes; empty without one.
      teacher: job_id of the teacher that never saw this fold.
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
    unlabelled_sha256: str = ""
    seed: int

    def identity(self) -> dict[str, Any]:
        return {
            "method": self.method.identity(),
            **{name: getattr(self, name) for name in _OF_METHOD},
            **self._identity(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            method=parse_method(values["method"]),
            **{name: values[name] for name in _OF_METHOD},
            **_data_of(values),
        )


_OF_METHOD = ("codec_id", "teacher", "unlabelled_sha256", "seed")
