"""The stages `teacher` and `split` as calls of the library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rdc.codec.base import Codec
from rdc.codec.classical import ClassicalCodec
from rdc.codec.learned import LearnedCodec
from rdc.codec.model_folders import model_folder
from rdc.complexity import count_network
from rdc.data.image_sets import image_files
from rdc.errors import NodeError
from rdc.jobs.attempts import given, images_of, progress_of
from rdc.jobs.job import Assignment
from rdc.jobs.layout import CHECKPOINT_FOLDER, MODEL_FOLDER
from rdc.jobs.records import SplitResult, TeacherResult
from rdc.jobs.splits import SplitJob, TeacherJob
from rdc.specs.classical import SETTINGS, SUBSAMPLED, ClassicalSpec
from rdc.split.base import SplitMethod, Tail, front_bits
from rdc.split.features import FeatureCompression
from rdc.split.inputs import InputCompression
from rdc.split.measures import Labelled, measure, task_answer
from rdc.split.network_specs import STAGES
from rdc.split.specs import FeatureMethod, InputMethod, TrainedMethod
from rdc.split.train import TrainingImages, trained
from rdc.tasks import teachers
from rdc.tasks.labelled import (
    LabelledPhotographs,
    answered_rows,
    labelled_photographs,
    learned_rows,
)
from rdc.tasks.state_dicts import load_torchvision

TASK = "classification"


def train_teacher(attempt: Assignment[TeacherJob]) -> TeacherResult:
    """Trains or takes its weights, exports, and answers what it never saw."""
    job, folder = attempt.job, attempt.folder / MODEL_FOLDER
    learned = _learned(attempt)
    if job.weights_sha256:
        teacher = _given_teacher(attempt, learned.classes)
    else:
        teacher = teachers.of_fold(
            learned,
            job.teacher,
            job.fold,
            job.fold_count,
            folder,
            checkpoints=attempt.folder / CHECKPOINT_FOLDER,
            earlier=_earlier(attempt),
            progress=progress_of(attempt),
        )
    photographs, rows = _asked(attempt, learned)
    answers = []
    pixels = macs = 0
    whole = Tail(teacher.network, 0)
    for each, row in zip(_labelled(photographs, rows, teacher), rows, strict=True):
        size = (photographs.folder / photographs.names[row]).stat().st_size
        answers.append(task_answer(each, size, each.teacher_logits))
        pixels += each.image.shape[0] * each.image.shape[1]
        macs += count_network(whole, each.image.shape).macs
    return TeacherResult(
        model_dir=MODEL_FOLDER,
        model_id=teacher.teacher_id,
        dataset=job.dataset,
        fold=job.fold,
        encoder_bits=front_bits(teacher.network, STAGES),
        encoder_kmacs_per_px=macs / pixels / 1000,
        answers=tuple(answers),
    )


def _given_teacher(
    attempt: Assignment[TeacherJob], classes: tuple[str, ...]
) -> teachers.Teacher:
    job = attempt.job
    spec = job.teacher.network(len(classes))
    network, sha256 = load_torchvision(Path(given(attempt.request.model_dir)), spec)
    if sha256 != job.weights_sha256:
        raise NodeError(
            "a machine that works has the planned weights of the teacher",
            f"others in {attempt.request.model_dir}",
            "copy them there; or plan again, where they were changed on purpose",
        )
    folder = attempt.folder / MODEL_FOLDER
    return teachers.save(network, classes, {"weights_sha256": sha256}, folder)


def measure_split(attempt: Assignment[SplitJob]) -> SplitResult:
    """Trains the method on all folds but one, where it is trained, and measures it."""
    job, request = attempt.job, attempt.request
    teacher = teachers.load(Path(given(request.model_dir)))
    learned = _learned(attempt)
    method = _method(attempt, teacher, learned)
    photographs, rows = _asked(attempt, learned)
    found = measure(method, _labelled(photographs, rows, teacher))
    is_trained_codec = bool(request.codec_dir)
    return SplitResult(
        method=job.method.title,
        setting=job.method.setting,
        method_id=method.method_id,
        run_id=job.method.title if is_trained_codec else None,
        dataset=job.dataset,
        task=TASK,
        fold=job.fold,
        seed=job.seed,
        encoder_bits=method.encoder_bits,
        encoder_kmacs_per_px=found.encoder_kmacs_per_px,
        tail_kmacs_per_px=found.tail_kmacs_per_px,
        answers=found.answers,
        model_id=teacher.teacher_id,
    )


def _method(
    attempt: Assignment[SplitJob],
    teacher: teachers.Teacher,
    photographs: LabelledPhotographs,
) -> SplitMethod:
    job, spec = attempt.job, attempt.job.method
    if isinstance(spec, InputMethod):
        coding = codec_of(spec, attempt.request.codec_dir)
        return InputCompression(spec.codec, *coding, teacher.network)
    if isinstance(spec, FeatureMethod):
        codec = _classical(spec.codec, spec.rate, "4:4:4")
        return FeatureCompression(codec, 0, teacher.network, spec.stage)
    assert isinstance(spec, TrainedMethod)
    unlabelled: Sequence[Path] = ()
    if job.unlabelled_sha256:
        unlabelled = image_files(images_of(attempt.request))
    others = learned_rows(photographs, job.fold, job.fold_count)
    return trained(
        spec,
        teacher.network,
        TrainingImages(photographs, others, unlabelled),
        attempt.folder / MODEL_FOLDER,
        job.seed,
        checkpoints=attempt.folder / CHECKPOINT_FOLDER,
        earlier=_earlier(attempt),
        progress=progress_of(attempt),
    )


def codec_of(spec: InputMethod, folder: str | None = None) -> tuple[Codec, float]:
    """A method's codec and which of its rates; a trained one's model is in `folder`."""
    if spec.codec in SETTINGS:
        return _classical(spec.codec, spec.rate), 0
    return LearnedCodec.load(model_folder(folder or spec.codec)), spec.rate


def _classical(name: str, rate: float, subsampling: str = "4:2:0") -> ClassicalCodec:
    """A codec at one setting; three channels of features are no luma and chroma."""
    if name not in SUBSAMPLED:
        subsampling = "4:2:0"
    spec = ClassicalSpec(name=name, settings=(rate,), subsampling=subsampling)
    return ClassicalCodec(spec)


def _labelled(
    photographs: LabelledPhotographs, rows: np.ndarray, teacher: teachers.Teacher
) -> Iterator[Labelled]:
    logits = teachers.answers(teacher.network, photographs, rows)
    for row, own in zip(rows, logits, strict=True):
        yield Labelled(
            name=photographs.names[row],
            image=photographs.image(row),
            label=int(photographs.labels[row]),
            teacher_logits=own,
        )


def _learned(
    attempt: Assignment[TeacherJob] | Assignment[SplitJob],
) -> LabelledPhotographs:
    """The photographs that networks learn, all folds of them."""
    return _planned(given(attempt.request.photographs), attempt.job.data_sha256)


def _asked(
    attempt: Assignment[TeacherJob] | Assignment[SplitJob],
    learned: LabelledPhotographs,
) -> tuple[LabelledPhotographs, np.ndarray]:
    """Photographs that were not learned, and their rows."""
    job = attempt.job
    if job.test_sha256:
        photographs = _planned(given(attempt.request.test_photographs), job.test_sha256)
    else:
        photographs = learned
    return photographs, answered_rows(photographs, job.fold, job.fold_count)


def _planned(folder: str, data_sha256: str) -> LabelledPhotographs:
    """As they were planned.

    Raises:
      NodeError: this machine has others.
    """
    photographs = labelled_photographs(folder)
    if photographs.data_sha256 != data_sha256:
        raise NodeError(
            "a machine that works has the planned photographs",
            f"others in {folder}",
            "copy them there; or plan again, where they were changed on purpose",
        )
    return photographs


def _earlier(attempt: Assignment) -> list[Path]:
    """Checkpoint folders of earlier attempts, newest last."""
    return [Path(path) / CHECKPOINT_FOLDER for path in attempt.request.resume_from]
