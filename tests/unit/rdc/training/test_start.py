"""The start from principal components: a transform codec before the first step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rdc.architectures import NAMED, build
from rdc.data.images import read_image
from rdc.errors import ConfigError
from rdc.jobs.job import TrainJob
from rdc.specs.training import TrainSpec
from rdc.training.start import start_from_principal_components


def test_the_start_is_a_transform_codec(shared_data: Path) -> None:
    """Rounded latents carry a photograph that it never saw at 30 dB and more."""
    paths = sorted((shared_data / "train/cid22").glob("*.jpg"))[:24]
    crops = np.stack([read_image(path)[:192, :192] for path in paths])
    model = build("light", seed=0)
    start_from_principal_components(model, crops)
    x = read_image(shared_data / "kodak/kodim23.png")[:256, :256]
    y = model.analysis_transform(x[None].astype(np.float32) / 255)
    x_hat = 255 * np.asarray(model.synthesis_transform(np.rint(y)))[0]
    assert np.mean(np.square(x_hat - x)) < 255**2 / 10**3.0
    # The gain matters: latents that round to zero would carry nothing.
    assert 0.05 < np.mean(np.rint(y) != 0) < 0.6


def test_other_transforms_have_no_such_start() -> None:
    with pytest.raises(ConfigError, match="needs the conv transform"):
        TrainJob(
            architecture=NAMED["rdc_f"],
            train=TrainSpec(start="principal_components"),
            data_sha256="0" * 64,
        )
