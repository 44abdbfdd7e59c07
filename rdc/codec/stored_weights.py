"""Weights of a model as they are stored.

    dtype      large arrays                      costs (docs/decisions/026)
    float32    as they are                       -
    bfloat16   half the size                     0.1 % of rate
    compact    a fifth: whole multiples of a     a few tenths of a per cent
               step of each output

`compact`'s steps are a 64th of the root mean square of an output's weights in layers
that all of the signal passes, an 8th in branches beside it and in what predicts the
latents: there a step of the same size changes a hundredth as much. Multiples are kept
as zigzag numbers, low and high bytes apart, which deflate makes small.

Biases, norms and gains stay float32 whatever the dtype: they are few, and a constant of
hundreds, as SwinT's start has, may not be off by one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

SMALL = 4096  # values: arrays below it stay as they are
STEPS_PER_RMS = {"main": 64, "beside": 8}
LARGEST = 2**15 - 1
_MAIN = re.compile(r"(analysis|synthesis)_transform\.layers\.\d+\.(dense\.)?\w+")
_STEP, _LOW, _HIGH = ":step", ":low", ":high"


def packed(weights: Mapping[str, Any], dtype: str) -> dict[str, np.ndarray]:
    """Arrays for an npz file of `weights`, f32 each; the outputs are the last axis.

    Args:
      dtype: one of `rdc.specs.checkpoint.MODEL_DTYPES`.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, weight in weights.items():
        values = np.asarray(weight, np.float32)
        if dtype == "float32" or values.size < SMALL:
            arrays[name] = values
        elif dtype == "bfloat16":
            # npz has no bfloat16: its bits are kept as u16.
            arrays[name] = values.astype(jnp.bfloat16).view(np.uint16)
        else:
            step = _step(values, "main" if _MAIN.fullmatch(name) else "beside")
            multiples = np.rint(values / step).astype(np.int32)
            zigzag = (2 * np.abs(multiples) - (multiples < 0)).astype(np.uint16)
            arrays[name + _LOW] = zigzag.astype(np.uint8)
            arrays[name + _HIGH] = (zigzag >> 8).astype(np.uint8)
            arrays[name + _STEP] = step
    return arrays


def unpacked(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights of `packed` arrays, f32 each, as the codec uses them."""
    weights = {}
    for name in arrays:
        values = arrays[name]
        if name.endswith((_LOW, _HIGH)):
            continue
        if name.endswith(_STEP):
            name = name.removesuffix(_STEP)
            zigzag = arrays[name + _LOW] + 256 * arrays[name + _HIGH].astype(np.int32)
            multiples = (zigzag + 1) // 2 * np.where(zigzag % 2, -1, 1)
            values = multiples.astype(np.float32) * values
        elif values.dtype == np.uint16:
            values = values.view(jnp.bfloat16).astype(np.float32)
        weights[name] = values
    return weights


def _step(values: np.ndarray, place: str) -> np.ndarray:
    """f32[outputs]; all multiples of it are below `LARGEST`."""
    others = tuple(range(values.ndim - 1))
    step = np.sqrt(np.square(values).mean(others)) / STEPS_PER_RMS[place]
    step = np.maximum(step, np.abs(values).max(others) / LARGEST)
    return np.where(step > 0, step, 1).astype(np.float32)
