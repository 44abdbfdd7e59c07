"""Networks of an image as whole numbers: a step is searched for every group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rdc.overfitted.bitstream import network_bits
from rdc.overfitted.integers import (
    MAX_NUMBER,
    CodedNetworks,
)
from rdc.overfitted.optimisation import Latents, Problem
from rdc.overfitted.parameters import GROUPS, group_of, start

_FINEST_OF_WEIGHTS, _FINEST_OF_BIASES = 11, 12
_COARSEST = 3


def quantised(
    problem: Problem, networks: Mapping[str, Any], latents: Latents, lmbda: float
) -> CodedNetworks:
    """The steps at which bpp (networks included) + lmbda mse_255 is least.

    Groups are searched one after the other, the others at their present steps.

    Args:
      latents: whole.
    """
    values = {name: np.asarray(v, np.float64) for name, v in networks.items()}
    step_bits = {
        g: _FINEST_OF_BIASES if g.endswith("bias") else _FINEST_OF_WEIGHTS
        for g in GROUPS
    }
    present = _coded(problem, values, step_bits)
    bits, error = _bits(problem, present, latents), _error(problem, present, latents)
    for group in GROUPS:
        best = None
        for trial_bits in range(_COARSEST, step_bits[group] + 1):
            trial = _coded(problem, values, {**step_bits, group: trial_bits})
            # Entropy parameters move the bits alone, the others the error alone.
            if group.startswith("entropy"):
                b, e = _bits(problem, trial, latents), error
            else:
                b, e = bits, _error(problem, trial, latents)
            total = (b + network_bits(trial, problem.spec)) / problem.pixels + lmbda * e
            if best is None or total < best[0]:
                best = total, trial_bits, b, e
        assert best is not None
        _, step_bits[group], bits, error = best
    return _coded(problem, values, step_bits)


def _coded(
    problem: Problem, values: Mapping[str, np.ndarray], step_bits: Mapping[str, int]
) -> CodedNetworks:
    numbers = {}
    for name, first in start(problem.spec).items():
        unit = 2.0 ** step_bits[group_of(name)]
        base = np.floor(first.astype(np.float64) * unit + 0.5)
        difference = np.rint(values[name] * unit) - base
        limit = MAX_NUMBER - 1
        numbers[name] = np.clip(difference, -limit, limit).astype(np.int64)
    return CodedNetworks(dict(step_bits), numbers)


def _bits(problem: Problem, coded: CodedNetworks, latents: Latents) -> float:
    return problem.bits(coded.parameters(problem.spec), latents)


def _error(problem: Problem, coded: CodedNetworks, latents: Latents) -> float:
    return problem.mse_255(coded.parameters(problem.spec), latents)
