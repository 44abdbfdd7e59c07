from __future__ import annotations

import pytest

from analysis import baselines
from rdc.errors import ConfigError


def test_baselines_carry_their_source() -> None:
    points = baselines.kodak()
    assert set(points["codec"]) == set(baselines.LABELS)
    assert points.notna().all(axis=None)
    with pytest.raises(ConfigError, match="unknown baseline"):
        baselines.kodak_curve("h264")


def test_kodak_is_known_by_its_images() -> None:
    names = {f"kodim{n:02d}.png" for n in range(1, 25)}
    assert baselines.is_kodak(names)
    assert not baselines.is_kodak(names - {"kodim07.png"})
    assert not baselines.is_kodak(names | {"photo.png"})
