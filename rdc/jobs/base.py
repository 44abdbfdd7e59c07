"""What every job is. No JAX here."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from rdc.identity import content_id
from rdc.jobs.layout import job_folder
from rdc.specs.base import Spec


@dataclass(frozen=True, kw_only=True)
class Job(abc.ABC):
    """What one process computes; equal jobs have equal ids."""

    stage: ClassVar[str]
    folder_name: ClassVar[str]
    resumes: ClassVar[bool] = False  # from what earlier attempts left behind
    parent_folder_name: ClassVar[str] = "runs"  # of a job that it depends on

    @property
    def job_id(self) -> str:
        return content_id(self.stage, self.identity())

    @abc.abstractmethod
    def identity(self) -> dict[str, Any]:
        """Plain data of all that makes this job what it is."""

    def to_dict(self) -> dict[str, Any]:
        """As in `spec.json`: the identity, with every spec in it resolved."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        specs = {k: v.to_dict() for k, v in values.items() if isinstance(v, Spec)}
        return {"stage": self.stage, **self.identity(), **specs}

    @classmethod
    @abc.abstractmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The job that `to_dict` gave."""

    def folder(self, out: Path) -> Path:
        return job_folder(out, self.folder_name, self.job_id)
