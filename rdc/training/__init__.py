"""Training: input pipeline, step, checkpoints, loop.

What needs JAX is imported when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rdc.training.loop import train
    from rdc.training.member import TrainedModel

__all__ = ["TrainedModel", "train"]


def __getattr__(name: str) -> Any:
    if name == "train":
        from rdc.training.loop import train

        return train
    if name == "TrainedModel":
        from rdc.training.member import TrainedModel

        return TrainedModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
