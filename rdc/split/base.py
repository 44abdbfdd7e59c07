"""The protocol of every split method: a device encodes, a server answers."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax
import numpy as np
from flax import nnx

from rdc.codec.base import Codec, check_image_array
from rdc.codec.container import NUMERICS_IDS, Header, check_writer, pack, unpack
from rdc.codec.exported import named_weights, with_weights
from rdc.complexity import count_network
from rdc.entropy_coders.tables import CdfTables
from rdc.errors import BitstreamError, ConfigError, DataError
from rdc.split.network_specs import STAGES

PARAMETER_BITS = 32
STEM = ("conv1", "bn1")  # of a teacher, in torchvision's names; then layer1 to layer4
LARGEST_PX = (
    1 << 22
)  # so many pixels at most: a stream of a few bytes may state any size
Tables = Mapping[str, CdfTables]  # by the name that a coding step asks for
NO_CODER = 0  # in the header of a stream without an entropy coder of ours


class Teacher(Protocol):
    """A frozen task network in stages; the methods cut it between two of them.

    Attributes:
      spec: of `rdc.specs.task_networks`; it tells the task.
      head_from: first of the stages whose outputs the head takes: 4 for the last alone,
        5 of a classifier, whose stage 5 is its pooling.
    """

    spec: Any
    head_from: int

    def stem(self, x: jax.Array) -> jax.Array:
        """f32[B,H,W,3] in [0, 1] -> f32[B,ceil(H/4),ceil(W/4),C]."""

    def stage(self, i: int, x: jax.Array) -> jax.Array:
        """Stage i, from 1, on the output of the one before."""

    def head(self, *stages: jax.Array) -> jax.Array:
        """The outputs of the stages from `head_from` on -> answers, f32[B, ...].

        A classifier's are logits f32[B, classes].
        """


class Front(nnx.Module):
    """The teacher's stem and its stages up to `stage`: what a device runs."""

    def __init__(self, teacher: Any, stage: int):
        self.teacher, self.last = teacher, stage

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.teacher.stem(x)
        for i in range(1, self.last + 1):
            x = self.teacher.stage(i, x)
        return x


def front_bits(teacher: Any, stage: int) -> int:
    """Size of stem and stages up to `stage`, running statistics included."""
    weights = named_weights(nnx.state(teacher))
    return PARAMETER_BITS * sum(
        math.prod(value.shape)
        for name, value in weights.items()
        if _is_in_front(name, stage)
    )


def with_tail_of(teacher: Any, trained: Any, first: int) -> Any:
    """A teacher with the stages from `first` on, and the head, of a trained copy."""
    weights, tail = (named_weights(nnx.state(each)) for each in (teacher, trained))
    own = {k: v for k, v in tail.items() if not _is_in_front(k, first - 1)}
    return with_weights(teacher, {**weights, **own})


def _is_in_front(name: str, stage: int) -> bool:
    """Whether weights of this name are of the stem or of stages up to `stage`."""
    return _part_of(name) in {*STEM, *(f"layer{i}" for i in range(1, stage + 1))}


def _part_of(weight: str) -> str | None:
    """The outermost name of stem or stages: detectors have these some levels deep."""
    known = {*STEM, *(f"layer{i}" for i in range(1, STAGES + 1))}
    return next((name for name in weight.split(".") if name in known), None)


class Tail(nnx.Module):
    """The teacher's stages from `first` on and its head; 0 is the whole network.

    Raises:
      ConfigError: the head takes the output of a stage before the cut.
    """

    def __init__(self, teacher: Any, first: int):
        if first - 1 > teacher.head_from:
            raise ConfigError(
                "this network is cut after one of its stages 1 to "
                f"{teacher.head_from}, whose output its head takes",
                first - 1,
            )
        self.teacher, self.first = teacher, first

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.first == 0:
            x = self.teacher.stem(x)
        taken = [x] if self.first > self.teacher.head_from else []
        head_from = self.teacher.head_from
        for i in range(max(self.first, 1), max(STAGES, head_from) + 1):
            x = self.teacher.stage(i, x)
            if i >= head_from:
                taken.append(x)
        return self.teacher.head(*taken)


class SplitMethod(abc.ABC):
    """Photographs to bytes on the device, bytes to answers on the server.

    Attributes:
      name: as in the column `method` of `task_results`.
      method_id: 16 hex digits: of all that a stream's meaning hangs on.
      setting: what is varied to trade bytes for the task, as text.
      encoder_bits: size of the encoder's parameters; None where it has none.
      tables: of our entropy coder; none without one.
    """

    name: str
    method_id: str
    setting: str
    encoder_bits: int | None
    tables: Tables

    def __init__(self, teacher: Any, first_tail_stage: int):
        self.tables = {}
        self._tail = Tail(teacher, first_tail_stage)
        self._run_tail = compiled(self._tail)

    @abc.abstractmethod
    def encode(self, image: np.ndarray) -> bytes:
        """u8[H,W,3] -> a stream; raises `DataError` for what it cannot take."""

    @abc.abstractmethod
    def decode_features(self, data: bytes) -> np.ndarray:
        """A stream -> f32[1,h,w,C], what the tail takes.

        Raises:
          BitstreamError: damaged or foreign.
        """

    def bits_estimated(self, image: np.ndarray) -> float | None:
        """Of a photograph's payload, by a prior; None without one."""
        return None

    @abc.abstractmethod
    def encoder_macs(self, height_px: int, width_px: int) -> float | None:
        """Of one photograph; None where nobody counted them."""

    @abc.abstractmethod
    def decoder_macs(self, height_px: int, width_px: int) -> float | None:
        """Of the server up to the features; None where nobody counted them."""

    def answer(self, data: bytes) -> np.ndarray:
        """A stream -> what the teacher's head gives for one photograph.

        f32[classes] of a classifier; raises as `decode_features`.
        """
        return np.asarray(self._run_tail(self.decode_features(data)))[0]

    def tail_macs(self, height_px: int, width_px: int) -> int:
        """Of the teacher's part on the server."""
        shape = self.feature_shape(height_px, width_px)
        return count_network(self._tail, shape).macs

    @abc.abstractmethod
    def feature_shape(self, height_px: int, width_px: int) -> tuple[int, int, int]:
        """[h, w, C] of the features of a photograph."""

    def _packed(
        self,
        image: np.ndarray,
        payload: bytes,
        coder_id: int = NO_CODER,
        numerics_id: int = NUMERICS_IDS["native"],
    ) -> bytes:
        height, width, _ = image.shape
        header = Header(
            model_id=bytes.fromhex(self.method_id),
            height_px=height,
            width_px=width,
            coder_id=coder_id,
            numerics_id=numerics_id,
        )
        return pack(header, payload)

    def _unpacked(self, data: bytes) -> tuple[Header, bytes]:
        header, payload = unpack(data)
        check_writer(header, self.method_id)
        if header.height_px * header.width_px > LARGEST_PX:
            raise BitstreamError(
                f"a photograph for a task has at most {LARGEST_PX} pixels",
                f"{header.width_px} x {header.height_px}",
            )
        return header, payload


def network_input(image: np.ndarray) -> np.ndarray:
    """u8[H,W,3] -> f32[1,H,W,3] in [0, 1].

    Raises:
      DataError: another shape or type, or more than `LARGEST_PX` pixels.
    """
    check_image_array(image)
    if math.prod(image.shape[:2]) > LARGEST_PX:
        raise DataError(
            f"a photograph for a task has at most {LARGEST_PX} pixels",
            f"{image.shape[1]} x {image.shape[0]}",
            "scale it down: task networks see a few hundred pixels a side",
        )
    return image[None].astype(np.float32) / 255


def setting_of(codec: Codec, rate: float) -> float | None:
    """What a rate's number stands for in a classical codec; None in a learned one."""
    return codec.operating_points[int(rate)].setting


def compiled(
    network: nnx.Module,
    function: Callable[[Any, Any], Any] = lambda network, x: network(x),
) -> Callable[[Any], Any]:
    """A network's `function` of its input alone; the weights are frozen."""
    graph, state = nnx.split(network)
    run = jax.jit(lambda state, x: function(nnx.merge(graph, state), x))
    return lambda x: run(state, x)
