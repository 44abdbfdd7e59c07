"""Decoding whose arrays stay on the device: table indices go down, symbols come up.

    device   features, y_hat -> offered -> mean, mean_input ----> taken -> part of y_hat
                                   |                                ^
    host              table index u8, checksum -> entropy decoder -> symbols, mostly i8

Each coding step is two programs, before and after the entropy decoder, and a byte a
symbol each way; the codec's other path moves 8 down and 8 or more up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from rdc.codec import programs
from rdc.codec.symbols import PARITY_BYTES, factor
from rdc.ops.gaussian import LEVELS_PER_LOG

if TYPE_CHECKING:
    from rdc.codec.networks import (
        CompiledGaussianStep,
        CompiledPriorStep,
        SizedNetworks,
    )


def is_worthwhile() -> bool:
    """Whether arrays have a way to go: a CPU's are the host's own."""
    return jax.default_backend() != "cpu"


class ResidentParameters(NamedTuple):
    """What the entropy decoder needs of a part of y; the rest is on the device.

    Attributes:
      table_index: u8[n,h,w,C].
      parity: checksums, u16[n].
      mean, mean_input, step: for `programs.taken`.
    """

    table_index: np.ndarray
    parity: np.ndarray
    mean: jax.Array | None = None
    mean_input: jax.Array | None = None
    step: jax.Array | None = None

    def of_image(self, number: int) -> ResidentParameters:
        """What the decoder needs of one image, with a batch of one."""
        image = slice(number, number + 1)
        return ResidentParameters(self.table_index[image], self.parity[image])

    @property
    def checksum(self) -> bytes:
        """Of one image, as `rdc.codec.symbols.Portion.parity`."""
        return int(self.parity[0]).to_bytes(PARITY_BYTES, "little")


class ResidentNetworks:
    """`rdc.model.CodingNetworks` of images that fill their canvas.

    What the callback of the loop gives for a part is its symbols.
    """

    def __init__(self, networks: SizedNetworks):
        self._networks = networks

    def coding_steps(self, rate: float = 0) -> Sequence[Any]:
        steps: Sequence[Any] = self._networks.coding_steps(rate)
        return [_ResidentPriorStep(steps[0]), *map(_ResidentStep, steps[1:])]

    def features(self, z_hat: Any) -> jax.Array:
        (features,) = self._networks.features(z_hat)
        return features


class _ResidentPriorStep:
    is_resident = True

    def __init__(self, step: CompiledPriorStep):
        self.latent, self.tables, self.gains = step.latent, step.tables, step.gains
        self.place = step.place

    def parameters(self, features: None, y_hat: None) -> None:
        return None

    def refine(self, symbols: np.ndarray, parameters: None) -> jax.Array:
        inverse = jax.device_put(factor(self.gains.inverse))
        return programs.whole_values(up(narrowed(symbols)), inverse)


class _ResidentStep:
    """A `CompiledGaussianStep` for one canvas."""

    is_resident = True

    def __init__(self, step: CompiledGaussianStep):
        self.latent, self.tables, self.gains = step.latent, step.tables, step.gains
        self._step, self.place = step, step.step.place

    def parameters(
        self, features: jax.Array, y_hat: jax.Array | None
    ) -> ResidentParameters:
        step = self._step.step
        support = step.support(y_hat) if step.support_channels else None
        shift = np.multiply(self.gains.gain, LEVELS_PER_LOG, dtype=features.dtype)
        found = programs.offered(
            *self._step.compiled_with,
            features,
            support,
            jax.device_put(shift),
        )
        index, parity = down(found.table_index), down(found.parity)
        kept = found.mean, found.mean_input, found.step
        return ResidentParameters(index, parity, *kept)

    def refine(self, symbols: np.ndarray, parameters: ResidentParameters) -> jax.Array:
        inverse = jax.device_put(factor(self.gains.inverse))
        return programs.taken(
            *self._step.compiled_with,
            up(narrowed(symbols)),
            inverse,
            parameters.mean,
            parameters.mean_input,
            parameters.step,
        )


def narrowed(symbols: np.ndarray) -> np.ndarray:
    """In the fewest bytes that hold all of them: mostly one, more after an escape."""
    least, most = symbols.min(), symbols.max()
    for dtype in (np.int8, np.int16):
        if np.iinfo(dtype).min <= least and most <= np.iinfo(dtype).max:
            return symbols.astype(dtype)
    return symbols


def up(values: np.ndarray) -> jax.Array:
    """To the device."""
    return jax.device_put(values)


def down(values: jax.Array) -> np.ndarray:
    """To the host."""
    return np.asarray(jax.device_get(values))
