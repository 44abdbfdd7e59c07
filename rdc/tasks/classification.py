"""Classification: a photograph has one class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from rdc.errors import DataError
from rdc.specs.tasks import TaskName, TaskRecipe
from rdc.tasks.base import Scores, Task, resized
from rdc.tasks.labelled import LabelledPhotographs
from rdc.tasks.metrics import divergence_nats
from rdc.tasks.squares import squares

_CUT = 7 / 8  # of the shorter side, as of 224 px of 256


class Classification(Task):
    """For `rdc.tasks.resnet.ResNet`, whose answers are logits f32[B, classes]."""

    name: ClassVar[TaskName] = "classification"

    def _scaled(self, image: np.ndarray) -> np.ndarray:
        """The middle square of `answered_px`, seven eighths of the shorter side."""
        side = self.answered_px
        assert side is not None
        found = resized(image, side / _CUT / min(image.shape[:2]))
        top, left = ((n - side) // 2 for n in found.shape[:2])
        return found[top : top + side, left : left + side]

    def batch(
        self,
        photographs: LabelledPhotographs,
        rows: np.ndarray,
        recipe: TaskRecipe,
        random: np.random.Generator,
    ) -> tuple[np.ndarray, ...]:
        images = (photographs.image(i) for i in rows)
        return squares(images, recipe, random), photographs.labels[rows]

    def loss(self, answer: jax.Array, *known: jax.Array) -> jax.Array:
        """Cross-entropy in nats, the mean over the batch; known: labels i32[B]."""
        (labels,) = known
        found = jax.nn.log_softmax(answer)
        return -jnp.take_along_axis(found, labels[:, None], 1).mean()

    def server_loss(
        self, answer: jax.Array, teacher: Callable[[], jax.Array], *known: jax.Array
    ) -> jax.Array:
        """Half cross-entropy, half divergence from the teacher."""
        wanted, found = map(jax.nn.log_softmax, (teacher(), answer))
        divergence = jnp.sum(jnp.exp(wanted) * (wanted - found), 1).mean()
        return 0.5 * self.loss(answer, *known) + 0.5 * divergence

    def scores(self, photographs: LabelledPhotographs) -> Scores:
        return _Scores(self, photographs)


class _Scores(Scores):
    _photographs: LabelledPhotographs

    def _compared(
        self, i: int, answer: np.ndarray, teacher_answer: np.ndarray
    ) -> dict[str, Any]:
        label = int(self._photographs.labels[i])
        if not 0 <= label < len(answer):
            raise DataError(
                f"labels are 0 to {len(answer) - 1} with this task network", label
            )
        return {
            "label": label,
            "answer": int(answer.argmax()),
            "teacher_answer": int(teacher_answer.argmax()),
            "kl_nats": divergence_nats(teacher_answer[None], answer[None]),
        }
