"""Tasks behind the codec, as a sweep asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rdc.codec.model_folders import model_folder, read_model_spec, trained_as
from rdc.errors import ConfigError
from rdc.jobs.records import SplitResult
from rdc.jobs.students import trained_students
from rdc.specs.base import Spec, require
from rdc.specs.classical import SETTINGS
from rdc.specs.tasks import TeacherSpec
from rdc.split.network_specs import PlacementSpec, StudentSpec
from rdc.split.specs import (
    DISTILLED,
    InputMethod,
    MethodSpec,
    StudentMethod,
    TrainedMethod,
    parse_method,
)
from sweeps.grid import Block, Grid, expand


@dataclass(frozen=True, kw_only=True)
class Splitting(Spec):
    """The group `split`: photographs of a task, a teacher, methods before it.

    Attributes:
      photographs: a folder of labelled ones (`rdc.tasks.labelled`); of a segmentation
        that of VOC, of a detection that of COCO's photographs.
      annotations: of tasks but classification, see `rdc.tasks.readers.ANNOTATIONS`.
      test: another folder, which is answered: all of `photographs` are learned, then.
        Left out: each of `folds` is answered by networks that never saw it.
      test_annotations: of what is answered; without `test` in the same folder.
      answered_px: see `rdc.tasks.base.Task`.
      teacher_weights: of torchvision's layout, a safetensors file; left out, teachers
        are trained.
      encoders: OUT of another sweep, whose students' encoders and priors the students
        here take, of equal networks, beta and seed: one stream serves both tasks.
      methods: blocks as those of a grid, of fields of methods.
      unlabelled: methods that need no labels learn from data.train, too.
      seeds: of the methods that are trained.
    """

    photographs: str | None = None
    annotations: str | None = None
    test: str | None = None
    test_annotations: str | None = None
    answered_px: int | None = None
    teacher_weights: str | None = None
    encoders: str | None = None
    methods: tuple[Block, ...] = ()
    teacher: TeacherSpec = field(default_factory=TeacherSpec)
    folds: int = 5
    unlabelled: bool = True
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        require(self.folds >= 2, "split.folds is two or more", self.folds)
        require(bool(self.seeds), "split.seeds has one at least", "none")
        if self.methods:
            require(
                self.photographs is not None,
                "split.methods answer photographs of a task",
                "none",
                "add split.photographs=DIR, with labels.csv or a folder a class; of a "
                "benchmark with a set to answer, split.test=DIR, too",
            )
            require(
                self.asked is not None or self.teacher.task == "classification",
                f"a {self.teacher.task} answers photographs of their own",
                "none",
                "add split.test_annotations, and split.test where they lie elsewhere",
            )
        px = self.answered_px
        require(px is None or px >= 32, "split.answered_px is 32 or more", px)

    @property
    def fold_count(self) -> int:
        """One where other photographs are answered."""
        return self.folds if self.asked is None else 1

    @property
    def asked(self) -> str | None:
        """The folder of photographs that are answered, where others are learned."""
        if self.test is None and self.test_annotations is not None:
            return self.photographs
        return self.test

    def expanded(self) -> tuple[Chosen, ...]:
        """All methods at all of their settings, with their seeds, each once.

        Raises:
          ConfigError: an unknown method, key or model.
        """
        chosen: dict[Chosen, None] = {}
        encoders = self._encoders()
        for point in expand(Grid(name="split", blocks=self.methods)):
            values: dict[str, Any] = {}
            for key, value in point.pairs:
                _put(values, key, value)
            for method in _at_all_rates(values):
                self._check_channels(method)
                for seed in self.seeds if method.is_trained else (0,):
                    if encoders is not None and isinstance(method, StudentMethod):
                        model = _with_encoder(method, seed, encoders)
                    else:
                        model = _model(method)
                    chosen[Chosen(*model, seed=seed)] = None
        return tuple(chosen)

    def _encoders(self) -> Encoders | None:
        if self.encoders is None:
            return None
        found = [*trained_students(Path(self.encoders).expanduser())]
        require(
            bool(found),
            "split.encoders is the OUT of a sweep that trained students",
            f"none in {self.encoders}",
        )
        found.sort(key=lambda one: -one[0].fold)  # of several folds, the first
        return {
            (job.method.described, job.method.networks, job.seed): (result, folder)
            for job, result, folder in found
            if isinstance(job.method, StudentMethod)
        }

    def _check_channels(self, method: MethodSpec) -> None:
        """Before anything is trained."""
        if not isinstance(method, TrainedMethod):
            return
        channels, networks = self.teacher.stage_channels, method.networks
        if isinstance(networks, PlacementSpec):
            stage, own = networks.stage, networks.channels
        else:
            stage, own = 1, networks.feature_channels
        require(
            stage <= len(channels),
            f"a {self.teacher.task} is cut after stage {len(channels)} at the latest",
            stage,
        )
        require(
            own == channels[stage - 1],
            f"{method.title} has the {channels[stage - 1]} channels of the teacher's "
            f"stage {stage}",
            own,
        )


@dataclass(frozen=True)
class Chosen:
    """One method at one setting and seed.

    Attributes:
      codec_id: identity of a learned codec whose streams it sends, or of a student
        whose encoder it takes; empty without.
      codec_dir: its folder; empty where it comes with the package.
    """

    method: MethodSpec
    codec_id: str
    codec_dir: str
    seed: int = 0

    @property
    def title(self) -> str:
        """For people."""
        seed = f", seed {self.seed}" if self.seed else ""
        return f"{self.method.described}{seed}"

    @property
    def is_distilled(self) -> bool:
        """Whether it learns from photographs without labels, too."""
        return isinstance(self.method, DISTILLED)


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for name in path:
        values[name] = dict(values.get(name, {}))
        values = values[name]
    values[last] = value


def _at_all_rates(values: Mapping[str, Any]) -> Iterator[MethodSpec]:
    """A codec without a rate stands for all that it has."""
    if values.get("name") != InputMethod.name or "rate" in values:
        yield parse_method(values, "split.methods")
        return
    codec = str(values.get("codec"))
    if codec in SETTINGS:
        rates: list[float] = list(SETTINGS[codec])
    else:
        spec = read_model_spec(model_folder(codec))
        rates = [float(i) for i in range(len(spec["operating_points"]))]
    for rate in rates:
        yield parse_method({**values, "rate": rate}, "split.methods")


# By method, networks and seed.
Encoders = Mapping[tuple[str, StudentSpec, int], tuple[SplitResult, Path]]


def _with_encoder(
    method: StudentMethod, seed: int, encoders: Encoders
) -> tuple[MethodSpec, str, str]:
    """As `_model`, with the encoder of a student like it."""
    found = encoders.get((method.described, method.networks, seed))
    if found is None:
        there = sorted({f"{known}, seed {seed}" for known, _, seed in encoders})
        raise ConfigError(
            "split.encoders has a student of each of these networks, betas and seeds",
            f"none for {method.described}, seed {seed}, among {'; '.join(there)}",
        )
    result, folder = found
    return method, result.method_id, str(folder.absolute())


def _model(method: MethodSpec) -> tuple[MethodSpec, str, str]:
    """The method with a name for its codec, that codec's identity, its folder."""
    if not isinstance(method, InputMethod) or method.codec in SETTINGS:
        return method, "", ""
    folder = model_folder(method.codec)
    identity = read_model_spec(folder)["identity"]
    if not Path(method.codec).is_dir():
        return method, identity, ""
    named = replace(method, codec=trained_as(folder))
    return named, identity, str(folder.absolute())
