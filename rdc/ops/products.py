"""Matrix products over channels."""

from __future__ import annotations

import jax


def channel_product(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """f32[..., I] @ f32[I, O] -> f32[..., O].

    Over flat positions: of `x @ matrix` with several leading axes, XLA on CPU takes
    1.5 x as long for the gradient.
    """
    flat = x.reshape(-1, x.shape[-1]) @ matrix
    return flat.reshape(*x.shape[:-1], -1)
