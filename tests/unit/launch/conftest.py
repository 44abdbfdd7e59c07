from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of noise, in colour files."""
    root = tmp_path_factory.mktemp("labelled")
    random = np.random.default_rng(0)
    for i in range(10):
        folder = root / "ab"[i % 2]
        folder.mkdir(exist_ok=True)
        pixels = random.integers(0, 255, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return root
