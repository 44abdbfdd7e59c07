"""What trainings of split methods cost, counted on shapes before any of them starts."""

from __future__ import annotations

from rdc.complexity import count_network
from rdc.layers import ParameterFactory
from rdc.specs.task_networks import TaskNetworkSpec
from rdc.specs.tasks import TaskRecipe
from rdc.split.base import Front, Tail
from rdc.split.network_specs import PlacementSpec
from rdc.split.specs import (
    EndToEndMethod,
    PlacementMethod,
    StudentMethod,
    TrainedMethod,
)
from rdc.split.student import STAGE
from rdc.tasks.networks import build

# Of a forward pass: with what is trained in it, with gradients through frozen weights,
# and alone.
_TRAINED, _PASSED, _ALONE = 3, 2, 1


def teacher_flops(
    teacher: TaskNetworkSpec, recipe: TaskRecipe, photographs: int
) -> float:
    """Of a teacher's training, backward counted as twice forward."""
    whole = _Parts(teacher, recipe.crop_px).whole
    return 2 * _TRAINED * whole * _squares(recipe, photographs)


def training_flops(
    method: TrainedMethod, teacher: TaskNetworkSpec, labelled: int, unlabelled: int
) -> float:
    """Of one training of a method.

    Args:
      labelled, unlabelled: photographs that it learns from; the latter join where no
        labels are needed.
    """
    every = labelled + unlabelled
    if isinstance(method, StudentMethod):
        return _distilled(method, method.distillation, teacher, every) + _fine_tuned(
            method, teacher, labelled
        )
    if isinstance(method, PlacementMethod):
        parts = _Parts(teacher, method.recipe.crop_px)
        macs = _TRAINED * parts.whole
    elif isinstance(method, EndToEndMethod):
        parts = _Parts(teacher, method.recipe.crop_px)
        macs = _TRAINED * (sum(parts.own(method)) + parts.tail)
    else:
        return _distilled(method, method.recipe, teacher, every)
    return 2 * macs * _squares(method.recipe, labelled)


def _distilled(
    method: TrainedMethod,
    recipe: TaskRecipe,
    teacher: TaskNetworkSpec,
    photographs: int,
) -> float:
    parts = _Parts(teacher, recipe.crop_px)
    macs = _TRAINED * sum(parts.own(method)) + _PASSED * parts.tail
    return 2 * (macs + _ALONE * parts.whole) * _squares(recipe, photographs)


def _fine_tuned(
    method: StudentMethod, teacher: TaskNetworkSpec, photographs: int
) -> float:
    parts = _Parts(teacher, method.fine_tuning.crop_px)
    encoder, decoder = parts.own(method)
    macs = _TRAINED * (decoder + parts.tail) + _ALONE * (encoder + parts.whole)
    return 2 * macs * _squares(method.fine_tuning, photographs)


def _squares(recipe: TaskRecipe, photographs: int) -> int:
    return recipe.fit(photographs, seed=0).steps * recipe.batch


class _Parts:
    """MACs of a forward pass of one square."""

    def __init__(self, teacher: TaskNetworkSpec, crop_px: int):
        self._network = build(teacher, ParameterFactory(None))
        self._square = crop_px, crop_px, 3

    @property
    def whole(self) -> int:
        return count_network(Tail(self._network, 0), self._square).macs

    @property
    def tail(self) -> int:
        """Behind the stage that methods stand for."""
        front = count_network(Front(self._network, STAGE), self._square)
        tail = Tail(self._network, STAGE + 1)
        return count_network(tail, front.output_shape).macs

    def own(self, method: TrainedMethod) -> tuple[int, int]:
        """Encoder and decoder of a method."""
        networks = method.networks
        assert not isinstance(networks, PlacementSpec)
        abstract = ParameterFactory(None)
        encoder = count_network(networks.encoder(abstract), self._square)
        decoder = count_network(networks.decoder(abstract), encoder.output_shape)
        return encoder.macs, decoder.macs
