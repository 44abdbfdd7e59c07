"""`record.json`: how one attempt, or a job as a whole, ended, with a typed result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rdc.measurements.rows import (
    ComponentTime,
    DecodeEstimate,
    DecodeTime,
    ImageMeasurement,
    TaskAnswer,
    TrainingEstimate,
)
from rdc.specs.base import Spec
from rdc.training.summary import TrainingSummary

# What a job, and a row of the table `runs`, may be.
STATUSES = (
    "ok",
    "diverged",
    "oom",
    "timeout",
    "failed",
    "preempted",
    "pending",
    "running",
)
RECORD_SCHEMA_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Record(Spec):
    """`record.json`: how one attempt, or the job as a whole, ended.

    Attributes:
      status: one of `STATUSES`.
      error: one line for people, with the traceback's fingerprint where there is one.
      attempt: the attempt that this record comes from, from 1.
      exit_code: of its process, which may have died after this record was whole;
        negative for a signal, None: unknown.
      epoch: of the driver that promoted it, counted up with each takeover of OUT; None:
        of an attempt, or from before there were any.
      result: of the stage's type in `RESULTS`, as plain data; empty without success.
      environment: versions, git state and hardware of the process.
    """

    stage: str
    job_id: str
    status: str
    attempt: int
    error: str | None = None
    exit_code: int | None = None
    epoch: int | None = None
    seconds: float | None = None
    result: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    schema_version: int = RECORD_SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class TrainResult(Spec):
    """Of the stage `train`.

    Attributes:
      model_dir: of the exported model, within the attempt's folder.
      model_id: its identity (`rdc.codec.exported`); None: of an earlier version.
      restarted_because: why it began at its first step although there were checkpoints.
    """

    arch_id: str
    data_sha256: str
    summary: TrainingSummary
    resumed_from_step: int
    model_dir: str
    restarted_because: str | None = None
    model_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluateResult(Spec):
    """Of the stage `evaluate`: a model on a set of images, at all of its rates.

    Attributes:
      model_id: of the model that was measured. Where the run has another one by now,
        the measurement is outdated and made again.
    """

    run_id: str
    dataset: str
    coder: str
    numerics: str
    effort: int
    images: tuple[ImageMeasurement, ...]
    skipped_images: tuple[str, ...]
    model_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class CodecResult(Spec):
    """Of the stage `codec`: a classical codec on a set, at all of its settings; and of
    `overfit`: an overfitted one on one image, at one lambda, which is its setting.

    Attributes:
      version: of the library that encoded.
      codec_class: `classical` or `overfitted`.
      kflops_per_px: to decode; None where nobody counts them.
    """

    codec_id: str
    name: str
    version: str
    dataset: str
    images: tuple[ImageMeasurement, ...]
    skipped_images: tuple[str, ...]
    codec_class: str = "classical"
    effort: int = 0
    kflops_per_px: float | None = None


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult(Spec):
    """Of the stage `benchmark`.

    Attributes:
      run_id: None for random weights.
      rate: of the stream that was decoded.
      components: encoder and decoder, part by part.
      model_id: as of an evaluation; None for random weights.
      kflops_per_px: of the decoder's networks at this size; None: of an earlier
        version.
    """

    arch_id: str
    run_id: str | None
    coder: str
    numerics: str
    rate: float
    times: tuple[DecodeTime, ...]
    components: tuple[ComponentTime, ...] = ()
    model_id: str | None = None
    kflops_per_px: float | None = None


@dataclass(frozen=True, kw_only=True)
class EstimateResult(Spec):
    """Of the stage `estimate`.

    Attributes:
      device_kind: that the estimates are of.
      device_note: what a device is.
      clock_mhz: by which cycles became times; None: of an earlier version.
      compiler: that gave the cycles, with its version.
    """

    arch_id: str
    device_kind: str
    compiler: str
    estimates: tuple[DecodeEstimate, ...]
    device_note: str = ""
    clock_mhz: float | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingEstimateResult(Spec):
    """Of the stage `estimate_training`; attributes as of an `EstimateResult`."""

    arch_id: str
    device_kind: str
    compiler: str
    estimate: TrainingEstimate
    device_note: str
    clock_mhz: float


@dataclass(frozen=True, kw_only=True)
class TeacherResult(Spec):
    """Of the stage `teacher`: a task network and its answers to what it never saw.

    Attributes:
      model_dir: of the network, within the attempt's folder.
      model_id: its `teacher_id`.
      dataset: name of the photographs.
      encoder_bits: of all its parameters; a device that answers itself holds them.
      encoder_kmacs_per_px: of all of it.
      task: that it answers.
      set_metric: as of a `SplitResult`.
      answers: bytes are those of the photographs' files.
    """

    model_dir: str
    model_id: str
    dataset: str
    fold: int
    encoder_bits: int
    encoder_kmacs_per_px: float
    task: str = "classification"
    set_metric: float | None = None
    answers: tuple[TaskAnswer, ...]


@dataclass(frozen=True, kw_only=True)
class SplitResult(Spec):
    """Of the stage `split`: a method at one setting on the photographs of one fold.

    Attributes:
      method: its name in tables; of a codec's streams, the codec's.
      method_id: that its streams carry.
      run_id: of a codec trained by a sweep; None without one.
      encoder_bits, encoder_kmacs_per_px: of what runs on the device; None where a
        method has no such thing, or nobody counted it.
      tail_kmacs_per_px: of the server, decoder included where it was counted.
      model_id: the teacher's `teacher_id`.
      set_metric: of the photographs together, of a task where it is no mean over them;
        None: it is the share of right answers.
    """

    method: str
    setting: str
    method_id: str
    run_id: str | None
    dataset: str
    task: str
    fold: int
    seed: int
    encoder_bits: int | None
    encoder_kmacs_per_px: float | None
    tail_kmacs_per_px: float
    answers: tuple[TaskAnswer, ...]
    model_id: str
    set_metric: float | None = None


RESULTS: dict[str, type[Spec]] = {
    "train": TrainResult,
    "evaluate": EvaluateResult,
    "codec": CodecResult,
    "overfit": CodecResult,
    "teacher": TeacherResult,
    "split": SplitResult,
    "benchmark": BenchmarkResult,
    "estimate": EstimateResult,
    "estimate_training": TrainingEstimateResult,
}
