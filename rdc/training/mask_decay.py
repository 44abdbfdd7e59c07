"""Mask decay: a narrow model grown out of a wide one.

EVC (Wang et al. 2023, arXiv 2302.05071, section 3.3). Every channel that the student
may lack has a mask m, at first 1, which multiplies what makes the channel
(`rdc.training.widths`). Each step moves masks away from 1 and towards 0,

    m <- m - rate |m - 1|

while gradients of the loss move them as they move weights: what the loss needs holds
its masks up. What reaches zero stays there, until as many channels are left as the
student has; then masks are multiplied into the weights and dead channels cut. The
student computes what the masked teacher did.

What is stored is the gap 1 - m: near 1, float32 would not feel the decay (a gap below
7.5e-4 never moves at the published rate).

Our choices, where the paper does not say: masks are clamped at zero, the dead never
wake, the largest are kept. And m = 1 is a fixed point, which channels without a
gradient never leave, nor those that the loss holds up against the decay: in a short
training, more of them than the student has room for. So after a quarter of the steps,
in which the loss sorts the masks, those that are not among the largest move at least
as fast as if they were `LEAST_GAP` below 1.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.errors import DivergedError
from rdc.model import CompressionModel
from rdc.training.methods import Params, only
from rdc.training.widths import Flow, Group, Widths, compare

TIME_CONSTANTS = 10.0  # of the decay in a short training
SORTING_SHARE = 0.25  # of the steps, before masks that are to die are driven
# Times a short training's rate, it is more than a step of Adam at a learning rate of
# 1e-3, with which the loss may hold a mask up.
LEAST_GAP = 0.1
ALMOST_DEAD = 1.0 - 1e-3  # the gap of a channel that would have to die, but is needed


class MaskDecay:
    """The method of the decaying part of a training; see `rdc.training.methods`.

    Args:
      wide: the teacher.
      narrow: the student; its weights do not matter.
      rate: of the decay per step.
      steps: with masks.
      networks: that are trained beside the masks; (): all.
    """

    def __init__(
        self,
        wide: CompressionModel,
        narrow: CompressionModel,
        rate: float,
        steps: int,
        networks: tuple[str, ...] = (),
    ):
        self.widths: Widths = compare(wide, narrow)
        self.rate, self.networks = rate, networks
        self._sorted_after = SORTING_SHARE * steps
        self._numbers = {group: i for i, group in enumerate(self.widths.groups)}
        self._narrow = nnx.split(narrow)

    def initial(self, model: CompressionModel) -> Params:
        gaps = [jnp.zeros(group.size, jnp.float32) for group in self.widths.groups]
        age = jnp.zeros((), jnp.float32)  # steps done
        return {"age": age, "gaps": gaps, "weights": nnx.state(model, nnx.Param)}

    def model(self, graph: nnx.GraphDef, params: Params) -> CompressionModel:
        masks = [1.0 - gap for gap in params["gaps"]]
        model = nnx.merge(graph, self._masked(params["weights"], masks))
        for path, flow in self.widths.norms:
            live = flow.mask(self._of(flow, masks) > 0)
            _at(model, path).live = live.astype(jnp.float32)
        return model

    def gradient(self, gradient: Params) -> Params:
        return {**gradient, "weights": only(self.networks, gradient["weights"])}

    def updated(self, before: Params, after: Params) -> Params:
        least = jnp.where(before["age"] >= self._sorted_after, LEAST_GAP, 0.0)
        gaps = [
            _decayed(old, new, group, self.rate, least)
            for old, new, group in zip(
                before["gaps"], after["gaps"], self.widths.groups, strict=True
            )
        ]
        return {**after, "age": before["age"] + 1.0, "gaps": gaps}

    def live(self, params: Params) -> dict[str, tuple[int, int]]:
        """Channels that are not dead, and those of the student, by group."""
        return {
            group.label: (int(np.sum(np.asarray(gap) < 1.0)), group.kept)
            for group, gap in zip(self.widths.groups, params["gaps"], strict=True)
        }

    def merged(self, params: Params) -> CompressionModel:
        """The student: masks in its weights, dead channels cut.

        Raises:
          DivergedError: groups that have more live channels than the student.
        """
        left = {k: v for k, v in self.live(params).items() if v[0] > v[1]}
        if left:
            shown = ", ".join(f"{k}: {a} for {b}" for k, (a, b) in left.items())
            raise DivergedError(
                "masks decay to the widths of the student in the steps they have",
                f"{len(left)} of {len(self.widths.groups)} groups with more: {shown}",
                "raise train.decay_rate, train.decay_share or train.steps",
            )
        masks = [1.0 - np.asarray(gap) for gap in params["gaps"]]
        weights = self._masked(params["weights"], [jnp.asarray(m) for m in masks])
        flat = {path: np.asarray(leaf[...]) for path, leaf in _flat(weights)}
        for use in self.widths.uses:
            keep = use.flow.mask(self._of(use.flow, masks) > 0)
            flat[use.path] = np.compress(keep, flat[use.path], axis=use.axis)
        graph, state = self._narrow
        new = {}
        for path, leaf in _flat(state):
            if flat[path].shape != leaf.shape:
                raise AssertionError(f"{path}: {flat[path].shape}, not {leaf.shape}")
            new[path] = nnx.Param(jnp.asarray(flat[path]))
        return nnx.merge(graph, nnx.from_flat_state(new))

    def _of(self, flow: Flow, values: list[Any]) -> Any:
        assert flow.group is not None
        return values[self._numbers[flow.group.root]]

    def _masked(self, weights: Any, masks: list[jax.Array]) -> Any:
        flat = dict(_flat(weights))
        for use in self.widths.uses:
            if use.made:
                value = flat[use.path][...]
                shape = [1] * value.ndim
                shape[use.axis] = -1
                mask = use.flow.mask(self._of(use.flow, masks)).reshape(shape)
                flat[use.path] = nnx.Param(value * mask)
        return nnx.from_flat_state(flat)


def _flat(state: Any) -> Any:
    return nnx.to_flat_state(state)


def _at(model: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        model = model[key] if isinstance(key, int) else getattr(model, key)
    return model


def _decayed(
    old: jax.Array,
    new: jax.Array,
    group: Group,
    rate: float,
    least: float | jax.Array = 0.0,
) -> jax.Array:
    """The gaps after one step: f32[size].

    Args:
      old, new: before and after the optimizer's update.
      least: a gap that those count to have at least that are to die.
    """
    most = group.size - group.kept  # that may die
    dead = old >= 1.0
    # Those that went farthest, the dead in front.
    order = jnp.argsort(jnp.where(dead, -jnp.inf, -new), stable=True)
    may = jnp.zeros(old.shape, bool).at[order].set(jnp.arange(old.size) < most)
    distance = jnp.where(may, jnp.maximum(jnp.abs(old), least), jnp.abs(old))
    grown = new + jnp.where(jnp.sum(dead) < most, rate, 0.0) * distance
    dies = dead | (may & (grown >= 1.0))
    return jnp.where(dies, 1.0, jnp.minimum(grown, ALMOST_DEAD))
