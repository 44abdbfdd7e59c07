"""What differs from task to task: what is learned, and how answers are measured."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import numpy as np
from PIL import Image

from rdc.measurements.rows import TaskAnswer
from rdc.specs.tasks import TaskName, TaskRecipe
from rdc.tasks.photographs import Photographs


@dataclass(frozen=True)
class Task(abc.ABC):
    """A task, for networks of one layout.

    Attributes:
      spec: of the layout.
      answered_px: what photographs are brought to before anyone is asked, see `image`;
        None: they stay as they are.
    """

    name: ClassVar[TaskName]
    spec: Any
    answered_px: int | None = None

    def image(self, photographs: Photographs, i: int) -> np.ndarray:
        """A photograph as it is encoded and answered, u8[H,W,3]."""
        image = photographs.image(i)
        return image if self.answered_px is None else self._scaled(image)

    def _scaled(self, image: np.ndarray) -> np.ndarray:
        """Its shorter side has `answered_px`."""
        assert self.answered_px is not None
        return resized(image, self.answered_px / min(image.shape[:2]))

    @abc.abstractmethod
    def batch(
        self,
        photographs: Any,
        rows: np.ndarray,
        recipe: TaskRecipe,
        random: np.random.Generator,
    ) -> tuple[np.ndarray, ...]:
        """Squares of photographs f32[B,crop_px,crop_px,3], then what `loss` takes."""

    @abc.abstractmethod
    def loss(self, answer: jax.Array, *known: jax.Array) -> jax.Array:
        """Of a network's answers to a batch, f32[]; known: what follows its squares."""

    def network_loss(
        self, network: Any, batch: tuple[jax.Array, ...], _key: jax.Array
    ) -> jax.Array:
        """What a network of the layout is trained with."""
        x, *known = batch
        return self.loss(network(x), *known)

    def server_loss(
        self, answer: jax.Array, _teacher: Callable[[], jax.Array], *known: jax.Array
    ) -> jax.Array:
        """Of a student's second stage.

        The benchmark's code has the task's own loss, but for classification.
        """
        return self.loss(answer, *known)

    @abc.abstractmethod
    def scores(self, photographs: Any) -> Scores:
        """Of answers to some of these."""


class Scores(abc.ABC):
    """Answers to photographs, one after another, and what they are worth together."""

    def __init__(self, task: Task, photographs: Photographs):
        self._task, self._photographs = task, photographs

    def answered(
        self,
        i: int,
        image: np.ndarray,
        answer: np.ndarray,
        teacher_answer: np.ndarray,
        size: int,
        bits_estimated: float | None = None,
    ) -> TaskAnswer:
        """The row of a photograph.

        Args:
          image: u8[H,W,3], as it was encoded.
          answer, teacher_answer: of networks, without the axis of the batch.
          size: bytes of what was sent.
          bits_estimated: as of a `TaskAnswer`.

        Raises:
          DataError: the network cannot know the photograph's class.
        """
        return TaskAnswer(
            photograph=self._photographs.names[i],
            height_px=image.shape[0],
            width_px=image.shape[1],
            bytes=size,
            bits_estimated=bits_estimated,
            **self._compared(i, answer, teacher_answer),
        )

    @abc.abstractmethod
    def _compared(
        self, i: int, answer: np.ndarray, teacher_answer: np.ndarray
    ) -> dict[str, Any]:
        """Of a `TaskAnswer`, what the task knows."""

    def metric(self) -> float | None:
        """Of all photographs so far; None where it is the share of right answers."""
        return None


def resized(
    values: np.ndarray,
    scale: float,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> np.ndarray:
    """u8[H,W,3] or u8[H,W] with sides so many times as long, one pixel at least."""
    height, width = (max(round(n * scale), 1) for n in values.shape[:2])
    return np.asarray(Image.fromarray(values).resize((width, height), resample))
