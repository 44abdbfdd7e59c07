"""The start from principal components: a transform codec before the first step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rdc.architectures import NAMED, build
from rdc.data.images import read_image
from rdc.errors import ConfigError
from rdc.specs.model import ModelSpec
from rdc.specs.recipe import Recipe
from rdc.training.input import training_batches
from rdc.training.start import start_from_principal_components


def test_the_start_is_a_transform_codec(photographs: dict[str, list[Path]]) -> None:
    """Rounded latents carry photographs that it never saw at 30 dB and more.

    One of leaves and lattices loses more: it has no place in a few components.
    """
    batches = training_batches(
        photographs["train"], crop_px=192, batch_size=24, seed=0, steps=1
    )
    model = build("light", seed=0)
    start_from_principal_components(model, next(batches))
    smooth = [p for p in photographs["eval"] if p.stem in ("chelsea", "flower")]
    assert len(smooth) == 2
    for path in smooth:
        x = read_image(path)[:256, :256]
        y = model.analysis_transform(x[None].astype(np.float32) / 255)
        x_hat = 255 * np.asarray(model.synthesis_transform(np.rint(y)))[0]
        error = np.mean(np.square(x_hat - x))
        assert error < 255**2 / 10**3.0
        # The gain matters: latents that round to zero would carry nothing.
        assert 0.05 < np.mean(np.rint(y) != 0) < 0.6


def test_other_transforms_have_no_such_start() -> None:
    with pytest.raises(ConfigError, match="needs a transform that has this start"):
        ModelSpec(
            architecture=NAMED["rdc_f"],
            recipe=Recipe(start="principal_components"),
            rates=(0.0125,),
            data_sha256="0" * 64,
        )
