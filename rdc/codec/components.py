"""The parts of a decoder, each to be timed by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from rdc.model import CodePart, run_coding_steps

if TYPE_CHECKING:
    from rdc.codec.networks import SizedNetworks

Run = Callable[[], Any]


def decoder_components(
    networks: SizedNetworks, code: CodePart, rate: float
) -> tuple[dict[str, Run], np.ndarray]:
    """(hyper-synthesis and each coding step of y, y_hat f[n,h,w,C]).

    A step is what its networks compute and what of it goes to the host: parameters and
    refinement. To be called in the scope of the numerics.

    Args:
      code: as of `run_coding_steps`.
    """
    recorded = _Recording(networks)
    y_hat = run_coding_steps(recorded, code, rate)
    parts: dict[str, Run] = {}
    if recorded.z_hat is not None:
        parts["hyper_synthesis"] = partial(_features, networks, recorded.z_hat)
        for number, step in enumerate(recorded.steps[1:], start=1):  # z's is none
            parts[f"coding_step_{number}"] = step.again
    return parts, y_hat


def _features(networks: SizedNetworks, z_hat: np.ndarray) -> None:
    jax.block_until_ready(list(networks.features(z_hat)))


class _Recording:
    """`rdc.model.CodingNetworks` that remembers what its parts were given."""

    def __init__(self, networks: SizedNetworks):
        self._networks = networks
        self.z_hat: np.ndarray | None = None
        self.steps: list[_RecordedStep] = []

    def coding_steps(self, rate: float) -> Sequence[_RecordedStep]:
        steps = self._networks.coding_steps(rate)
        self.steps = [_RecordedStep(step) for step in steps]
        return self.steps

    def features(self, z_hat: np.ndarray) -> Any:
        self.z_hat = z_hat
        return self._networks.features(z_hat).kept()


class _RecordedStep:
    """A compiled coding step."""

    def __init__(self, step: Any):
        self._step = step
        self._given: tuple[Any, ...] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)

    def parameters(self, features: Any, y_hat: Any) -> Any:
        self._given = features, y_hat
        return self._step.parameters(features, y_hat)

    def refine(self, part: Any, parameters: Any) -> Any:
        self._given = *self._given[:2], part
        return self._step.refine(part, parameters)

    def again(self) -> Any:
        """Parameters and refinement, of what they were given."""
        features, y_hat, part = self._given
        return self._step.refine(part, self._step.parameters(features, y_hat))
