"""A whole decoder as one program: bytes go to the device, pixels come back.

    bytes -> symbols of z -> hyper-synthesis -> parameters of a step -+-> checksum
               ^                                     ^                |
               +-- symbols of the step <-------------+----------------+
                      |                              |
                      +-> y_hat so far --------------+-> synthesis -> pixels

The loop over coding steps is the one of `rdc.model`; entropy decoding stands between
the networks (`rdc.entropy_coders.rans_device`). Nothing is compared on the way: the
checksums of the entropy parameters come back with the pixels, and where they are not
the stream's, the pixels are nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.codec.programs import apart, parity_of, whole_values
from rdc.codec.symbols import PARITY_BYTES, factor
from rdc.entropy_coders.rans_coder import RansStream
from rdc.entropy_coders.rans_device import (
    DeviceStream,
    decode_portion,
    tables_on_device,
)
from rdc.entropy_coders.rans_tables import RansTables
from rdc.entropy_coders.tables import CdfTables
from rdc.entropy_models.gaussian_step import GaussianParameters, GaussianStep
from rdc.entropy_models.prior_step import PriorStep
from rdc.entropy_models.spatial_step import SpatialStep
from rdc.layers import StepGains
from rdc.model import CompressionModel, run_coding_steps
from rdc.ops.gaussian import LEVELS_PER_LOG
from rdc.ops.scales import NUM_SCALES

Shape = tuple[int, int, int]


class StepFactors(NamedTuple):
    """Gains of a coding step as the host computes them, f32[C] or f32[].

    Attributes:
      index_shift: added to scale indices.
      inverse: symbols times this are centred values.
    """

    index_shift: Any
    inverse: Any

    @classmethod
    def of(cls, gains: StepGains) -> StepFactors:
        shift = np.multiply(gains.gain, LEVELS_PER_LOG, dtype=np.float32)
        return cls(shift, factor(gains.inverse))


class OneProgram:
    """The decoder of a model, in the floating point of the device.

    Args:
      model: on whose weights it computes.
      gaussian: tables of y where there is a hyper-transform.
    """

    def __init__(self, model: CompressionModel, gaussian: CdfTables):
        self._graph, self._state = nnx.split(model)
        self._gaussian = gaussian

    def decode(
        self,
        stream: RansStream,
        parity: bytes,
        shape: Shape,
        prior: CdfTables,
        gains: Sequence[StepGains],
        latent_gains: StepGains | None = None,
    ) -> np.ndarray | None:
        """u8[H,W,3] of the padded size; None where the device computes other entropy
        parameters than the encoder did.

        Args:
          parity: checksums of the coding steps of y.
          shape: [h,w,C] of the first part, which the prior codes.
          prior: its tables.
          gains: of each part, on the host.
          latent_gains: of y itself, where the model has such.

        Raises:
          BitstreamError: a damaged stream.
        """
        stream.check_begun()
        pixels, end, checksums = _decode(
            self._graph,
            shape,
            self._state,
            DeviceStream.of(stream),
            (tables_on_device(prior), tables_on_device(self._gaussian)),
            [StepFactors.of(g) for g in gains],
            None if latent_gains is None else factor(latent_gains.inverse),
        )
        found = np.asarray(checksums, np.uint32).astype("<u2").tobytes()
        if found != parity[: PARITY_BYTES * len(checksums)]:
            return None
        end.check_end(stream)
        return np.asarray(pixels)


class _Networks:
    """`rdc.model.CodingNetworks` of a model within a program, each on its own.

    The barriers keep the compiler from fusing a network with what is around it. So it
    is compiled as the encoder's programs are, one for a network, and rounds alike.
    """

    def __init__(self, model: CompressionModel):
        self._model = model

    def coding_steps(self, rate: Any) -> Sequence[Any]:
        model = self._model
        if model.hyper_synthesis is None:
            return [PriorStep(model.prior, "y")]
        return [PriorStep(model.prior, "z"), *map(_ApartStep, model.steps)]

    def features(self, z_hat: Any) -> Any:
        features = self._model.features(apart(z_hat))
        return apart(features.astype(jnp.float32))

    def pixels(self, y_hat: Any) -> Any:
        x_hat = self._model.synthesis_transform(apart(y_hat)).astype(jnp.float32)[0]
        return jnp.clip(jnp.round(x_hat * 255.0), 0, 255).astype(jnp.uint8)


class _ApartStep:
    """A `GaussianStep` between barriers."""

    latent, tables = GaussianStep.latent, GaussianStep.tables

    def __init__(self, step: GaussianStep | SpatialStep):
        self._step, self.place = step, step.place

    def parameters(self, features: Any, y_hat: Any) -> GaussianParameters:
        support = self._step.support(y_hat) if self._step.support_channels else None
        return apart(self._step.parameters(*apart((features, support))))

    def refine(self, part: Any, parameters: GaussianParameters) -> Any:
        if self._step.lrp is None:
            return part
        return apart(self._step.refine(*apart((part, parameters))))


@partial(jax.jit, static_argnums=(0, 1))
def _decode(
    graph: nnx.GraphDef,
    shape: Shape,
    state: Any,
    stream: DeviceStream,
    tables: tuple[RansTables, RansTables],
    factors: Sequence[StepFactors],
    y_inverse: Any,
) -> tuple[jax.Array, DeviceStream, list[jax.Array]]:
    """(pixels u8[H,W,3], the stream at its end, checksums u32[] of the steps of y)."""
    networks = _Networks(nnx.merge(graph, state))
    prior, gaussian = tables
    remaining = iter(factors)
    checksums: list[jax.Array] = []

    def code(step: Any, parameters: Any) -> jax.Array:
        nonlocal stream
        shift, inverse = next(remaining)
        if step.tables == "prior":
            index = jnp.broadcast_to(jnp.arange(shape[-1], dtype=jnp.int32), shape)
            stream, symbols = decode_portion(stream, index.ravel(), prior)
            offset, step_size = jnp.zeros((1, *shape)), None
        else:
            scale_index = jnp.clip(parameters.scale_index + shift, 0, NUM_SCALES - 1)
            index = jnp.rint(scale_index).astype(jnp.int32)
            offset, step_size = parameters.mean, parameters.step
            checksums.append(parity_of(offset, step_size, index))
            stream, symbols = decode_portion(stream, index.ravel(), gaussian)
        whole = symbols.reshape(offset.shape)
        return whole_values(whole, inverse, step_size) + offset

    y_hat = run_coding_steps(networks, code)
    if y_inverse is not None:
        y_hat = y_hat * y_inverse
    return networks.pixels(y_hat), stream, checksums
