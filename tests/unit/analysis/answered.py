"""A task that nobody answered: a teacher and methods whose answers are made up."""

from __future__ import annotations

from pathlib import Path

from rdc.jobs.job import Job, SplitJob, TeacherJob
from rdc.jobs.records import Record, SplitResult, TeacherResult
from rdc.measurements.rows import TaskAnswer
from rdc.specs.tasks import TeacherSpec
from rdc.split.specs import MethodSpec, parse_method
from rdc.system.files import write_json_atomically

FOLDS, PHOTOGRAPHS = 2, 6  # of each fold
SETTINGS: dict[str, list[dict]] = {
    "jpeg": [{"name": "input", "codec": "jpeg", "rate": r} for r in (5, 20, 60)],
    "student": [{"name": "student", "beta": b} for b in (4.0, 1.0, 0.25)],
}


def answers(method: str, step: int, fold: int, seed: int) -> tuple[TaskAnswer, ...]:
    """JPEG doubles from 400 bytes and gets two, four, six photographs of a fold right;
    the student doubles from 200 and gets all but one, and all behind its first setting.
    """
    size = {"jpeg": 400, "student": 200}[method] * 2**step + 2 * seed
    right = 2 * (step + 1) if method == "jpeg" else PHOTOGRAPHS - (step == 0)
    return tuple(
        TaskAnswer(
            photograph=f"{fold}{i}.jpg",
            height_px=10,
            width_px=20,
            bytes=size,
            bits_estimated=None if method == "jpeg" else 7.92 * size,
            label=1,
            answer=int(i < right),
            teacher_answer=1,
            kl_nats=0.5 - 0.1 * step,
        )
        for i in range(PHOTOGRAPHS)
    )


def write(out: Path, job: Job, result: TeacherResult | SplitResult) -> None:
    folder = job.folder(out)
    record = Record(
        stage=job.stage,
        job_id=job.job_id,
        status="ok",
        attempt=1,
        result=result.to_dict(),
    )
    write_json_atomically(folder / "spec.json", job.to_dict())
    write_json_atomically(folder / "record.json", record.to_dict())


def write_task(out: Path) -> None:
    """Records of a teacher of each fold and of the methods before it."""
    for fold in range(FOLDS):
        teacher = TeacherJob(
            teacher=TeacherSpec(),
            dataset="flowers",
            data_sha256="0" * 64,
            fold=fold,
            fold_count=FOLDS,
        )
        whole = TeacherResult(
            model_dir="model",
            model_id=f"{fold}" * 16,
            dataset="flowers",
            fold=fold,
            encoder_bits=3200,
            encoder_kmacs_per_px=20.0,
            answers=answers("student", 0, fold, 0),
        )
        write(out, teacher, whole)
        for name, settings in SETTINGS.items():
            for step, values in enumerate(settings):
                for seed in range(2 if name == "student" else 1):
                    method = parse_method(values)
                    measured = result(name, method, step, fold, seed)
                    write(out, split_job(teacher, method, fold, seed), measured)


def split_job(
    teacher: TeacherJob, method: MethodSpec, fold: int, seed: int
) -> SplitJob:
    return SplitJob(
        method=method,
        teacher=teacher.job_id,
        dataset="flowers",
        data_sha256="0" * 64,
        fold=fold,
        fold_count=FOLDS,
        seed=seed,
    )


def result(
    name: str, method: MethodSpec, step: int, fold: int, seed: int
) -> SplitResult:
    return SplitResult(
        method=name,
        setting=method.setting,
        method_id="1" * 16,
        run_id=None,
        dataset="flowers",
        task="classification",
        fold=fold,
        seed=seed,
        encoder_bits=None if name == "jpeg" else 1000,
        encoder_kmacs_per_px=None if name == "jpeg" else 2.0,
        tail_kmacs_per_px=9.0,
        answers=answers(name, step, fold, seed),
        model_id=f"{fold}" * 16,
    )
