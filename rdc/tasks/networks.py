"""The task networks by their specs, and what all of them are asked alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx

from rdc.layers import ParameterFactory
from rdc.specs.base import unknown_name
from rdc.specs.task_networks import (
    DeepLabSpec,
    ResNetSpec,
    RetinaNetSpec,
    TaskNetworkSpec,
)
from rdc.tasks.base import Task
from rdc.tasks.classification import Classification
from rdc.tasks.deeplab import DeepLab
from rdc.tasks.detection import Detection
from rdc.tasks.resnet import ResNet
from rdc.tasks.retinanet import RetinaNet
from rdc.tasks.segmentation import Segmentation

TaskNetwork = ResNet | DeepLab | RetinaNet
_KINDS: dict[str, tuple[Any, Any, type[Task]]] = {
    "resnet": (ResNetSpec, ResNet, Classification),
    "deeplab": (DeepLabSpec, DeepLab, Segmentation),
    "retinanet": (RetinaNetSpec, RetinaNet, Detection),
}


def task_of(spec: TaskNetworkSpec, answered_px: int | None = None) -> Task:
    """What networks of a spec answer; see `Task.answered_px`."""
    return _KINDS[kind_of(spec)][2](spec, answered_px)


def build(spec: TaskNetworkSpec, parameters: ParameterFactory) -> Any:
    """The network of a spec."""
    return _KINDS[kind_of(spec)][1](spec, parameters)


def kind_of(spec: TaskNetworkSpec) -> str:
    """What `spec_of` calls a spec of this type."""
    return next(kind for kind, (of, *_) in _KINDS.items() if type(spec) is of)


def spec_of(kind: str, values: dict[str, Any]) -> TaskNetworkSpec:
    """A spec from plain data.

    Raises:
      ConfigError: an unknown kind, or as `rdc.specs.base.Spec.from_dict`.
    """
    if kind not in _KINDS:
        raise unknown_name("kind of task network", kind, list(_KINDS))
    return _KINDS[kind][0].from_dict(values)


def answering(network: nnx.Module) -> Callable[[np.ndarray], np.ndarray]:
    """u8[H,W,3], of any size -> what the network answers for it."""
    graph, state = nnx.split(network)
    run = jax.jit(lambda state, x: nnx.merge(graph, state)(x))

    def answer(image: np.ndarray) -> np.ndarray:
        return np.asarray(run(state, image[None].astype(np.float32) / 255))[0]

    return answer
