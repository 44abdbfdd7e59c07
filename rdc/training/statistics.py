"""Statistics of batch normalisations, set once the weights are trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from rdc.training.fit import Batch, Trained

_BATCHES = 16


def settled(
    module: Trained,
    forward: Callable[[Any, Batch], Any],
    batch_of: Callable[[int], Batch],
    steps: int,
) -> Trained:
    """The module ready to evaluate, with the mean of its batches' statistics.

    They are of the trained weights, over some batches of the last steps, as Wu &
    Johnson 2021 ("Rethinking Batch in BatchNorm") have it: `rdc.training.fit.fit` then
    carries parameters alone.

    Args:
      forward: (module, batch) -> anything; runs what has statistics.
      batch_of, steps: as of the training.
    """
    graph, params, *statistics = nnx.split(module, nnx.Param, ...)

    @jax.jit
    def of(batch: Batch) -> Any:
        seen = nnx.merge(graph, params, *statistics, copy=True)
        forward(seen, batch)
        return nnx.state(seen, nnx.BatchStat)

    found = [of(batch_of(step)) for step in range(steps)[-_BATCHES:]]
    mean = jax.tree.map(lambda *each: sum(each) / len(each), *found)
    ready = nnx.merge(graph, params, mean)
    ready.eval()
    return ready
