"""An overfitted codec with a search of a few steps, and what it wrote."""

from __future__ import annotations

import numpy as np
import pytest

from rdc.codec.overfitted import OverfittedCodec
from rdc.overfitted.schedule import Schedule
from rdc.overfitted.spec import OverfittedSpec

SMALL = OverfittedSpec(
    grids=4, context=6, coarser=1, entropy_widths=(5, 5), synthesis_width=6
)


@pytest.fixture(scope="session")
def overfitted_codec() -> OverfittedCodec:
    return OverfittedCodec(SMALL, schedule=Schedule(steps=40))


@pytest.fixture(scope="session")
def stream(overfitted_codec: OverfittedCodec, x: np.ndarray) -> bytes:
    return overfitted_codec.encode(x, 3)
