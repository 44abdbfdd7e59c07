"""Fixtures of the tests that code images with a small model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rdc.architectures import build
from rdc.cli import main
from rdc.codec import LearnedCodec
from rdc.codec.exported import export
from rdc.specs.coding import OperatingPoint
from tests.architectures import ALL


@pytest.fixture(scope="session")
def small_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model of random weights whose latents are lively."""
    model = build(ALL["conv-mean_scale_hyperprior-conv"], seed=1)
    for layer in model.analysis_transform.layers[-2:]:
        if hasattr(layer, "kernel"):
            layer.kernel.set_value(layer.kernel[...] * 20)
    folder = tmp_path_factory.mktemp("small_model")
    export(model, folder, provenance={}, operating_points=[OperatingPoint(lmbda=0.01)])
    return folder


@pytest.fixture(scope="session")
def x() -> np.ndarray:
    """A picture of smooth colours, u8[40,60,3]."""
    rows, columns = np.mgrid[:40, :60]
    return np.stack([rows * 6, columns * 4, rows + columns], -1).astype(np.uint8)


@pytest.fixture(scope="session")
def codec(small_model_dir: Path) -> LearnedCodec:
    """The small model as `LearnedCodec.load` gives it by default."""
    return LearnedCodec.load(small_model_dir)


@pytest.fixture
def rdc(small_model_dir: Path) -> Callable[..., int]:
    """Runs a command, with the small model where it takes one."""

    def run(command: str, *arguments: object) -> int:
        model = ["--model", str(small_model_dir)] if command != "info" else []
        return main([command, *map(str, arguments), *model])

    return run
