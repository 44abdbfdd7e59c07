"""Arrays as bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np


def npz_bytes(arrays: Mapping[str, Any], compressed: bool = True) -> bytes:
    """An npz file whose bytes depend on the arrays alone (no time stamps)."""
    buffer = io.BytesIO()
    plain: dict[str, Any] = {k: np.asarray(arrays[k]) for k in sorted(arrays)}
    (np.savez_compressed if compressed else np.savez)(buffer, **plain)
    return buffer.getvalue()
