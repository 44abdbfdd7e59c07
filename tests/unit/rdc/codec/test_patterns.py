"""Parts of latents in the pattern of 2x2 positions."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from rdc.architectures import build
from rdc.entropy_models.patterns import CHECKERBOARD, QUADTREE, Groups, Pattern


@pytest.mark.parametrize("make", [np.asarray, jnp.asarray])
@pytest.mark.parametrize("passes", [CHECKERBOARD, QUADTREE])
def test_all_parts_together_are_the_latents(
    passes: tuple[Groups, ...], make: Any
) -> None:
    y = make(np.arange(1, 2 * 6 * 4 * 8 + 1).reshape(2, 6, 4, 8).astype(np.float32))
    y_hat, kind = None, type(y)
    for done, groups in enumerate(passes, start=1):
        part = Pattern(groups).select(y)
        assert part.shape == (2, 6, 4, 8 // len(passes))
        y_hat = Pattern(groups).place(part, y_hat)
        assert isinstance(part, kind)
        assert isinstance(y_hat, kind)
        placed = np.asarray(y_hat) != 0
        # Every position has one group of channels more.
        assert (placed.sum(-1) == done * 8 // len(passes)).all()
        np.testing.assert_array_equal(
            np.asarray(y_hat), np.where(placed, np.asarray(y), 0)
        )
    np.testing.assert_array_equal(np.asarray(y_hat), np.asarray(y))


def test_evc_codes_as_many_symbols_per_pass_as_published() -> None:
    """Of a Kodak image: 147 456 in each pass, 18 432 of z."""
    model = build("evc_l", seed=None)
    y_shape, z_shape = model.spec.latent_shapes(512, 768)
    y = np.zeros((1, *y_shape), np.float32)
    assert [step.select(y).size for step in model.steps] == [147_456] * 2
    assert z_shape is not None
    assert np.prod(z_shape) == 18_432
