"""The parameters of the networks: names, shapes, groups, where they start. No JAX."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rdc.identity import content_id
from rdc.overfitted.spec import OverfittedSpec

STARTS = Path(__file__).with_name("starts.npz")
Parameters = Mapping[str, Any]  # name -> array; matrices are [outputs, inputs]

COLOURS = 3
TAPS = 4  # free ones of a symmetric kernel of 8
# Of the cubic kernel (a = -1/2) at a quarter of a pixel, in steps of 2^-12.
_CUBIC = np.array([-96, 928, 3552, -288]) / 4096
MID_GREY = 0.5
LATENT_UNIT = 410 / 4096  # of brightness: 26 levels of 8 bits

# Deviation at the start, times the root of the inputs.
_NOISES = {
    "entropy.weight.0": 1.0,
    "synthesis.weight.0": 1.0,
    "synthesis.weight.out": 0.1,
}

# Parameters of one group are coded with the same step. Biases are those named so.
GROUPS = (
    "entropy.weight",
    "entropy.bias",
    "upsampling.taps",
    "synthesis.weight",
    "synthesis.bias",
    "residual.weight",
    "residual.bias",
)


def group_of(name: str) -> str:
    """The group of a parameter: its name without the number at the end."""
    return name.rpartition(".")[0]


def shapes(spec: OverfittedSpec) -> dict[str, tuple[int, ...]]:
    """Shapes of all parameters, in the order in which they are coded."""
    found: dict[str, tuple[int, ...]] = {}
    width = spec.entropy_inputs
    for i, next_width in enumerate(spec.entropy_widths):
        found[f"entropy.weight.{i}"] = (next_width, width)
        found[f"entropy.bias.{i}"] = (next_width,)
        width = next_width
    found["entropy.weight.out"] = (2, width)
    found["entropy.weight.bypass"] = (2, spec.entropy_inputs)
    found["entropy.bias.out"] = (2,)
    for k in range(spec.grids - 1):
        found[f"upsampling.taps.{k}"] = (TAPS,)
    found["synthesis.weight.0"] = (spec.synthesis_width, spec.grids)
    found["synthesis.bias.0"] = (spec.synthesis_width,)
    found["synthesis.weight.out"] = (COLOURS, spec.synthesis_width)
    found["synthesis.weight.bypass"] = (COLOURS, spec.grids)
    found["synthesis.bias.out"] = (COLOURS,)
    for i in range(spec.residual_blocks):
        found[f"residual.weight.{i}"] = (COLOURS, 9 * COLOURS)
        found[f"residual.bias.{i}"] = (COLOURS,)
    return {n: s for group in GROUPS for n, s in found.items() if group_of(n) == group}


def start(spec: OverfittedSpec) -> dict[str, np.ndarray]:
    """What the file's numbers are differences from, f32, multiples of 2^-12: what was
    learned for these sizes (`rdc.overfitted.learned_start`), or a plain start.
    """
    learned = learned_starts().get(start_key(spec))
    return plain_start(spec) if learned is None else dict(learned)


def start_key(spec: OverfittedSpec) -> str:
    """Of what a learned start depends on: the sizes."""
    sizes = spec.identity()
    del sizes["lmbdas"]
    return content_id("start", sizes)


@cache
def learned_starts() -> dict[str, dict[str, np.ndarray]]:
    """What is shipped, by `start_key`."""
    found: dict[str, dict[str, np.ndarray]] = {}
    if STARTS.is_file():
        with np.load(STARTS) as file:
            for entry in file.files:
                key, _, name = entry.partition("/")
                found.setdefault(key, {})[name] = file[entry]
    return found


def plain_start(spec: OverfittedSpec) -> dict[str, np.ndarray]:
    """A start for any sizes.

    Hidden layers that keep their width start as the identity, upsampling as the cubic
    kernel, the image as mid-grey and the sum of all grids in grey; the rest is zero.
    """
    values = {name: np.zeros(s, np.float32) for name, s in shapes(spec).items()}
    for name, value in values.items():
        hidden = name.startswith("entropy.weight") and name[-1].isdigit()
        if hidden and not name.endswith(".0") and value.shape[0] == value.shape[1]:
            np.fill_diagonal(value, 1)
        if name.startswith("upsampling"):
            value[:] = _CUBIC
    values["synthesis.bias.out"][:] = MID_GREY
    values["synthesis.weight.bypass"][:] = LATENT_UNIT
    return values


def initial(spec: OverfittedSpec, seed: int = 0) -> dict[str, np.ndarray]:
    """Networks before the first step, f32: what was learned, or `drawn`."""
    return start(spec) if start_key(spec) in learned_starts() else drawn(spec, seed)


def drawn(spec: OverfittedSpec, seed: int = 0) -> dict[str, np.ndarray]:
    """The plain start, f32, with noise where symmetry must go."""
    values = plain_start(spec)
    rng = np.random.default_rng(seed)
    for name, size in _NOISES.items():
        shape = values[name].shape
        noise = rng.normal(0, size * shape[1] ** -0.5, shape)
        values[name] += noise.astype(np.float32)
    return values
