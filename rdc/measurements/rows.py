"""What was measured, as typed rows. No JAX here.

A row and its record become columns of the tables (`analysis.tables`) under the names of
their fields: a result has its one home here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from rdc.measurements.metrics import METRICS
from rdc.specs.base import Spec


@dataclass(frozen=True, kw_only=True)
class ImageMeasurement(Spec):
    """One image through a codec at one of its operating points.

    Plain data is flat: `metrics` is no key of it, but each metric is, under its name.

    Attributes:
      rate: number of the operating point.
      setting: quality parameter of a classical codec; None of a learned one.
      bytes: of the whole file.
      bpp_estimated: from likelihoods; None where the codec has none.
      encode_ms, decode_ms: one call each with everything compiled, beside whatever
        else the machine does; None where nobody looked. Decode times to rely on are
        `DecodeTime`s.
      metrics: value of each of `rdc.measurements.metrics.METRICS`; None where the
        image has none.
    """

    image: str
    rate: int
    setting: float | None
    height_px: int
    width_px: int
    bytes: int
    bpp_estimated: float | None
    bpp_coded: float
    encode_ms: float | None
    decode_ms: float | None
    metrics: Mapping[str, float | None]

    def to_dict(self) -> dict[str, Any]:
        values = super().to_dict()
        return values | values.pop("metrics")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "") -> Self:
        """From flat data; a metric that came later than the record is None."""
        others = {k: v for k, v in values.items() if k not in METRICS}
        metrics = {name: values.get(name) for name in METRICS}
        return super().from_dict({**others, "metrics": metrics}, where)


@dataclass(frozen=True, kw_only=True)
class DecodeTime(Spec):
    """One repeat of one stage of the decoder.

    Attributes:
      stage: `network`, `entropy_coding` or `end_to_end`.
      dataset: that the image is from; None for noise.
      batch_size: images that are decoded together; `decode_ms` is of all of them.
      cpu_threads: that the process may use.
      visible_devices: of JAX, in the process.
      load_average: of the machine, over the minute before.
      others_busy_cores: of the host, that other processes kept busy meanwhile.
      drift: of the anchor (`rdc.measurements.conditions`) over the block of repeats;
        0.1 is a tenth slower at its end.
      blocks: how often the block was measured until the drift was small.
      matrix_gflops: 10^9 operations per second of the anchor, a product of matrices
        in the same precision.
      memory_gb_per_s: of a pass over an array far larger than caches.
      roofline_ms: of the stage `network`: its products at these rates, each by
        computation or by memory, whichever takes longer; what is elementwise counts as
        fused. Winograd's scheme has fewer products, and may take less.
      memory_bound: share of `roofline_ms` in products that wait for memory.
      clock_mhz, temperature_c, is_throttled: of the device after the block; None where
        it does not tell. So are all from `others_busy_cores` on in earlier records.
    """

    dataset: str | None
    height_px: int
    width_px: int
    precision: str
    cpu_threads: int
    visible_devices: int
    load_average: float | None
    stage: str
    repeat: int
    decode_ms: float
    batch_size: int = 1
    others_busy_cores: float | None = None
    drift: float | None = None
    blocks: int | None = None
    matrix_gflops: float | None = None
    memory_gb_per_s: float | None = None
    roofline_ms: float | None = None
    memory_bound: float | None = None
    clock_mhz: float | None = None
    temperature_c: float | None = None
    is_throttled: bool | None = None


# Of a `DecodeTime`: what went on, not what it is a time of.
OBSERVED = (
    *("load_average", "others_busy_cores", "drift", "blocks", "matrix_gflops"),
    *("memory_gb_per_s", "roofline_ms", "memory_bound"),
    *("clock_mhz", "temperature_c", "is_throttled"),
)


@dataclass(frozen=True, kw_only=True)
class ComponentTime(Spec):
    """One repeat of one part of encoder or decoder, by itself.

    Attributes:
      side: `encode` or `decode`.
      component: `hyper_synthesis`, `coding_step_1` and so on, `synthesis_transform`;
        `analysis_transform`, `hyper_analysis`, `entropy_coding`, `end_to_end`.
    """

    side: str
    component: str
    repeat: int
    milliseconds: float


@dataclass(frozen=True, kw_only=True)
class DecodeEstimate(Spec):
    """What a compiler expects of one component of the decoder's networks.

    Attributes:
      precision: of products, as the program asks for it.
      component: as `rdc.complexity` names them; `other` of none, `network` all.
      cycles: of a device; None where its compiler tells none, or the program did not
        fit its memory.
      decode_ms: of these cycles at the device's clock, or the roofline of its kernels.
      peak_bytes: of the whole program: weights, inputs, outputs, temporaries.
      fits: into the device's memory.
      source: `compiler`, of its own cycles, or `roofline` of its kernels.
    """

    height_px: int
    width_px: int
    precision: str
    component: str
    cycles: int | None
    decode_ms: float | None
    peak_bytes: int | None
    fits: bool
    source: str


@dataclass(frozen=True, kw_only=True)
class TrainingEstimate(Spec):
    """What a compiler expects of one training step on one device.

    Attributes:
      num_rates: that the model is trained for.
      network_precision: in which the networks compute, as the recipe says.
      precision: of products of float32, as of a `DecodeEstimate`.
      cycles, step_ms: as of a `DecodeEstimate`.
      peak_bytes: of the whole step: state, batch, gradients, what backward needs.
      fits: into the device's memory.
      source: as of a `DecodeEstimate`.
    """

    batch_size: int
    crop_px: int
    num_rates: int
    network_precision: str
    accumulate: int
    remat: bool
    precision: str
    cycles: int | None
    step_ms: float | None
    peak_bytes: int | None
    fits: bool
    source: str


STAGES = ("network", "entropy_coding", "end_to_end")


@dataclass(frozen=True, kw_only=True)
class TaskAnswer(Spec):
    """One photograph of a task that a server answered, from real bytes.

    Attributes:
      bytes: of the whole stream, its header included.
      bits_estimated: of the whole stream, its payload by a prior; None without one.
      label: the right class; None of a task where a photograph has several, as all
        that follows.
      answer, teacher_answer: the likeliest class, of the method and of the teacher on
        the photograph itself.
      kl_nats: divergence of the method's classes from the teacher's; of a segmentation
        the mean over positions.
      agreement: of a segmentation: share of pixels with the teacher's class.
    """

    photograph: str
    height_px: int
    width_px: int
    bytes: int
    bits_estimated: float | None
    label: int | None = None
    answer: int | None = None
    teacher_answer: int | None = None
    kl_nats: float | None = None
    agreement: float | None = None


@dataclass(frozen=True, kw_only=True)
class Inflation(Spec):
    """One photograph that was changed a little to make more bytes, in real bytes.

    Attributes:
      target: the codec or split method that encoded.
      setting: as in `task_results`.
      seed: of the method's training; 0 of a codec.
      attack: `gradient` climbs the target's own bits; `through ...` is the same of
        another codec, for a target without a gradient; `noise` is chance.
      eps_255: levels by which a pixel's values changed at most.
      steps: of the climb.
      bytes_before, bytes_after: of the whole stream or file.
      right_before, right_after: whether the server's answer from these bytes was right;
        None where no task follows.
      attack_id: 16 hex digits: of target, photographs and steps.
    """

    target: str
    setting: str
    seed: int
    attack: str
    photograph: str
    eps_255: int
    steps: int
    bytes_before: int
    bytes_after: int
    right_before: bool | None
    right_after: bool | None
    attack_id: str
