"""What turns gradients into steps: the schedule, Adam, and the basis that it works in.

Adam scales every coordinate by itself, so its steps depend on the basis of the weights.
In frequencies of the kernels, it weighs smooth and rough parts of a filter apart, as
gradients of filters on photographs are: TensorFlow Compression's `rdft` parametrisation
of kernels (tfc.RDFTParameter), here as a transformation around Adam. The weights stay
pixels.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rdc.specs.recipe import Recipe

# Shares of the steps after which the rate is halved: epochs 50, 90, 130, 170 of 200.
HALVINGS = (0.25, 0.45, 0.65, 0.85)


def schedule(recipe: Recipe) -> optax.Schedule:
    """Linear warm-up, the full rate, then cosine decay from `decay_start` on."""
    rate = recipe.learning_rate
    warmup = optax.linear_schedule(0.0, rate, max(recipe.warmup, 1))
    if recipe.decay == "constant":
        rest: optax.Schedule = optax.constant_schedule(rate)
        return optax.join_schedules([warmup, rest], [recipe.warmup])
    if recipe.decay == "halvings":
        halvings = {round(share * recipe.steps): 0.5 for share in HALVINGS}
        rest = optax.piecewise_constant_schedule(rate, halvings)
        # Its steps are those of the training, the warm-up included.
        rest_on_time = _shifted(rest, recipe.warmup)
        return optax.join_schedules([warmup, rest_on_time], [recipe.warmup])
    start = max(round(recipe.decay_start * recipe.steps), recipe.warmup)
    decay = optax.cosine_decay_schedule(
        rate, max(recipe.steps - start, 1), recipe.final_learning_rate_ratio
    )
    constant = optax.constant_schedule(rate)
    return optax.join_schedules([warmup, constant, decay], [recipe.warmup, start])


def optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """Adam, in the recipe's basis, behind clipping of the global gradient norm."""
    adam = optax.adam(schedule(recipe))
    if recipe.weight_decay:
        adam = optax.adamw(
            schedule(recipe), weight_decay=recipe.weight_decay, mask=_are_weights
        )
    if recipe.kernel_basis == "frequencies":
        adam = in_frequencies(adam)
    return optax.chain(optax.clip_by_global_norm(recipe.clip_norm), adam)


def _shifted(schedule: optax.Schedule, steps: int) -> optax.Schedule:
    return lambda count: schedule(count + steps)


def _are_weights(params: Any) -> Any:
    """What decays: all but the masks of mask decay, whose rest is elsewhere."""
    return jax.tree.map_with_path(
        lambda path, _: getattr(path[0], "key", None) not in ("age", "gaps"), params
    )


def in_frequencies(inner: optax.GradientTransformation) -> optax.GradientTransformation:
    """`inner` on the real DFT of every kernel's two spatial axes.

    Its state is in frequencies: f32[height * width, inputs, outputs] for a kernel
    f32[height,width,inputs,outputs] with a side above 1, all else as it is. The basis
    is orthonormal, so that norms of gradients and of steps are those in pixels.

    Args:
      inner: without use of the weights themselves (no weight decay).
    """

    def init(params: Any) -> Any:
        return inner.init(jax.tree.map(_frequencies, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        steps, state = inner.update(jax.tree.map(_frequencies, updates), state)
        return jax.tree.map(_pixels, steps, updates), state

    return optax.GradientTransformation(init, update)


def real_dft(height: int, width: int) -> np.ndarray:
    """The orthonormal real DFT of two axes, f32[frequencies, height * width].

    Of each pair of opposite frequencies, the cosine and the sine. That is a basis of
    waves in all directions, not of products of a row's and a column's.
    """
    rows, columns = np.mgrid[:height, :width].reshape(2, 1, -1)
    turns = rows.T * rows / height + columns.T * columns / width
    cosines, sines = np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)
    own = (-rows % height) * width + -columns % width  # place of the opposite frequency
    place = np.arange(height * width)
    basis = np.where((place <= own.ravel())[:, None], cosines, sines)
    return (basis / np.linalg.norm(basis, axis=1, keepdims=True)).astype(np.float32)


def _is_kernel(weights: Any) -> bool:
    return weights.ndim == 4 and max(weights.shape[:2]) > 1


def _frequencies(weights: Any) -> Any:
    if not _is_kernel(weights):
        return weights
    height, width, *rest = weights.shape
    flat = weights.reshape(height * width, -1)
    return (jnp.asarray(real_dft(height, width)) @ flat).reshape(-1, *rest)


def _pixels(weights: Any, like: Any) -> Any:
    if not _is_kernel(like):
        return weights
    height, width = like.shape[:2]
    flat = weights.reshape(height * width, -1)
    return (jnp.asarray(real_dft(height, width)).T @ flat).reshape(like.shape)
