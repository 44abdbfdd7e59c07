"""How long the encoder searches, and what it shows the networks on the way. No JAX."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rdc.specs.base import Spec, require

# Steps of each effort.
EFFORT_STEPS = (600, 2000, 8000, 30000)


@dataclass(frozen=True, kw_only=True)
class Schedule(Spec):
    """The course of one optimisation.

    Temperature and noise fall linearly, learning rates as a cosine. In the last part
    the best latents so far are rounded and rest; the networks get used to them.

    Attributes:
      steps: all of them.
      rounded_share: of the steps, in the last part.
      network_rate, latent_rate: learning rates of Adam at the start.
      temperatures, noises: of soft rounding, and deviation of the noise, from start
        to end (COOL-CHIC 4).
      evaluations: how often the true loss is looked at; the best state is kept.
    """

    steps: int = EFFORT_STEPS[0]
    rounded_share: float = 0.1
    network_rate: float = 0.02
    latent_rate: float = 0.15
    temperatures: tuple[float, float] = (0.3, 0.1)
    noises: tuple[float, float] = (0.25, 0.1)
    evaluations: int = 10

    def __post_init__(self) -> None:
        require(self.steps >= 1, "overfitted.steps is positive", self.steps)
        require(
            0 <= self.rounded_share < 1,
            "overfitted.rounded_share is 0 to 1",
            self.rounded_share,
        )

    @property
    def soft_steps(self) -> int:
        return self.steps - int(self.steps * self.rounded_share)

    def at(self, step: int) -> Settings:
        """Of one step."""
        soft = self.soft_steps
        if step >= soft:
            return Settings(self.temperatures[1], 0.0, 0.02 * self.network_rate, 0.0)
        progress = step / soft
        fall = 0.5 * (1 + math.cos(math.pi * progress))
        warm = min(1.0, (step + 1) / 20)  # Adam's first moments are wild
        return Settings(
            _between(self.temperatures, progress),
            _between(self.noises, progress),
            max(fall, 0.02) * warm * self.network_rate,
            max(fall, 0.02) * warm * self.latent_rate,
        )

    def is_evaluated(self, step: int) -> bool:
        """Whether the true loss is looked at after this step."""
        every = max(1, self.steps // self.evaluations)
        return (step + 1) % every == 0 or step == self.steps - 1


@dataclass(frozen=True)
class Settings:
    """Of one step: surrogate and learning rates."""

    temperature: float
    noise: float
    network_rate: float
    latent_rate: float


def _between(ends: tuple[float, float], progress: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * progress


def schedule_of(effort: int) -> Schedule:
    """The schedule of an effort, 0 to 3."""
    return Schedule(steps=EFFORT_STEPS[effort])
