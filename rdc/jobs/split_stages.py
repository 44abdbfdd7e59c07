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
from rdc.specs.tasks import TeacherSpec
from rdc.split.base import SplitMethod, Tail, front_bits
from rdc.split.features import FeatureCompression
from rdc.split.inputs import InputCompression
from rdc.split.measures import Asked, measure
from rdc.split.network_specs import STAGES
from rdc.split.specs import FeatureMethod, InputMethod, TrainedMethod
from rdc.split.train import TrainingImages, trained
from rdc.tasks import teachers
from rdc.tasks.base import Task
from rdc.tasks.labelled import answered_rows, learned_rows
from rdc.tasks.networks import answering, task_of
from rdc.tasks.photographs import Photographs
from rdc.tasks.readers import read_photographs
from rdc.tasks.state_dicts import load_torchvision


def train_teacher(attempt: Assignment[TeacherJob]) -> TeacherResult:
    """Trains or takes its weights, exports, and answers what it never saw."""
    job, folder = attempt.job, attempt.folder / MODEL_FOLDER
    learned = _learned(attempt, job.teacher)
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
    photographs, rows = _asked(attempt, learned, job.teacher)
    task = task_of(teacher.network.spec, job.answered_px)
    scores = task.scores(photographs)
    answers = []
    pixels = macs = 0
    whole = Tail(teacher.network, 0)
    for each in _each_asked(photographs, rows, teacher, task):
        size = photographs.path(each.row).stat().st_size
        own = each.teacher_answer
        answers.append(scores.answered(each.row, each.image, own, own, size))
        pixels += each.image.shape[0] * each.image.shape[1]
        macs += count_network(whole, each.image.shape).macs
    return TeacherResult(
        model_dir=MODEL_FOLDER,
        model_id=teacher.teacher_id,
        dataset=job.dataset,
        fold=job.fold,
        encoder_bits=front_bits(teacher.network, STAGES),
        encoder_kmacs_per_px=macs / pixels / 1000,
        task=task.name,
        set_metric=scores.metric(),
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
    provenance = {"weights_sha256": sha256, "teacher": job.teacher.to_dict()}
    return teachers.save(network, classes, provenance, folder)


def measure_split(attempt: Assignment[SplitJob]) -> SplitResult:
    """Trains the method on all folds but one, where it is trained, and measures it."""
    job, request = attempt.job, attempt.request
    teacher = teachers.load(Path(given(request.model_dir)))
    spec = teachers.recipe_of(teacher)
    learned = _learned(attempt, spec)
    method = _method(attempt, teacher, learned)
    photographs, rows = _asked(attempt, learned, spec)
    task = task_of(teacher.network.spec, job.answered_px)
    asked = _each_asked(photographs, rows, teacher, task)
    found = measure(method, asked, task.scores(photographs))
    is_trained_codec = bool(request.codec_dir) and not job.method.is_trained
    return SplitResult(
        method=job.method.title,
        setting=job.method.setting,
        method_id=method.method_id,
        run_id=job.method.title if is_trained_codec else None,
        dataset=job.dataset,
        task=task.name,
        fold=job.fold,
        seed=job.seed,
        encoder_bits=method.encoder_bits,
        encoder_kmacs_per_px=found.encoder_kmacs_per_px,
        tail_kmacs_per_px=found.tail_kmacs_per_px,
        answers=found.answers,
        model_id=teacher.teacher_id,
        set_metric=found.set_metric,
    )


def _method(
    attempt: Assignment[SplitJob],
    teacher: teachers.Teacher,
    photographs: Photographs,
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
    encoder = attempt.request.codec_dir
    return trained(
        spec,
        teacher.network,
        TrainingImages(photographs, others, unlabelled),
        attempt.folder / MODEL_FOLDER,
        job.seed,
        checkpoints=attempt.folder / CHECKPOINT_FOLDER,
        earlier=_earlier(attempt),
        progress=progress_of(attempt),
        encoder=None if encoder is None else Path(encoder),
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


def _each_asked(
    photographs: Photographs, rows: np.ndarray, teacher: teachers.Teacher, task: Task
) -> Iterator[Asked]:
    answer = answering(teacher.network)
    for row in map(int, rows):
        image = task.image(photographs, row)
        yield Asked(row=row, image=image, teacher_answer=answer(image))


def _learned(
    attempt: Assignment[TeacherJob] | Assignment[SplitJob], teacher: TeacherSpec
) -> Photographs:
    """The photographs that networks learn, all folds of them."""
    request = attempt.request
    folder = given(request.photographs)
    photographs = read_photographs(
        teacher.task, folder, request.annotations, teacher.classes
    )
    return _planned(photographs, folder, attempt.job.data_sha256)


def _asked(
    attempt: Assignment[TeacherJob] | Assignment[SplitJob],
    learned: Photographs,
    teacher: TeacherSpec,
) -> tuple[Photographs, np.ndarray]:
    """Photographs that were not learned, and their rows."""
    job, request, photographs = attempt.job, attempt.request, learned
    if job.test_sha256:
        folder, annotations = given(request.test_photographs), request.test_annotations
        photographs = read_photographs(
            teacher.task, folder, annotations, teacher.classes, learned
        )
        _planned(photographs, folder, job.test_sha256)
    return photographs, answered_rows(photographs, job.fold, job.fold_count)


def _planned(photographs: Photographs, folder: str, data_sha256: str) -> Photographs:
    """As they were planned.

    Raises:
      NodeError: this machine has others.
    """
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
