"""Hyper-synthesis and coding steps, compiled for few canvas sizes.

Encoder and decoder must compute them alike, in one of `rdc.codec.numerics`. Images of
every size go through the same programs (`rdc.codec.tiles`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from rdc.codec import programs, resident
from rdc.codec.components import decoder_components
from rdc.codec.entropy_reach import entropy_reach_px
from rdc.codec.numerics import Numerics
from rdc.codec.resident import ResidentNetworks
from rdc.codec.tiles import Size, Tiling, tiling
from rdc.entropy_models.gaussian_step import GaussianStep
from rdc.entropy_models.prior_step import PriorStep
from rdc.entropy_models.spatial_step import SpatialStep
from rdc.layers import NO_GAINS, RateGains, SharedGains, StepGains
from rdc.model import CodePart, CompressionModel, run_coding_steps
from rdc.ops.gaussian import LEVELS_PER_LOG
from rdc.ops.scales import NUM_SCALES


class CompiledNetworks:
    """Hyper-synthesis and coding steps of a model, for images of every size."""

    def __init__(self, model: CompressionModel, numerics: Numerics):
        self._numerics, self._spec = numerics, model.spec
        self._prior, self._gains = model.prior, (model.step_gains, model.hyper_gains)
        self._steps = [CompiledGaussianStep(step, numerics) for step in model.steps]
        self._hyper_synthesis = None
        self._reach_px = entropy_reach_px(model)
        if model.hyper_synthesis is not None:
            self._hyper_synthesis = _split(model.feature_network, numerics)

    def run(self, code: CodePart, image_px: Size, rate: float = 0) -> np.ndarray:
        """y_hat f32[n,h,w,C] from what `code` makes of each part, by the one loop.

        Args:
          image_px: with its padding.
        """
        with self._numerics.scope():
            y_hat = run_coding_steps(self.for_size(image_px), code, rate)
            return np.asarray(y_hat, np.float32)

    def run_on_device(self, code: CodePart, image_px: Size, rate: float) -> jax.Array:
        """As `run`, of `code` that gives symbols, for images of `are_resident`."""
        with self._numerics.scope():
            networks = ResidentNetworks(self.for_size(image_px))
            return run_coding_steps(networks, code, rate).astype(np.float32)

    def are_resident(self, image_px: Size) -> bool:
        """Whether arrays stay on the device while images of this size are decoded."""
        return (
            resident.is_worthwhile()
            and self._hyper_synthesis is not None
            and self._numerics.device() is None
            and self._tiling(image_px).is_whole
        )

    def components(
        self, code: CodePart, image_px: Size, rate: float = 0
    ) -> tuple[dict[str, Callable[[], Any]], np.ndarray]:
        """(parts to be timed, y_hat f32[n,h,w,C]); arguments as of `run`."""

        def scoped(part: Callable[[], Any]) -> Any:
            with self._numerics.scope():
                return part()

        with self._numerics.scope():
            parts, y_hat = decoder_components(self.for_size(image_px), code, rate)
        runs: dict[str, Callable[[], Any]] = {
            name: partial(scoped, part) for name, part in parts.items()
        }
        return runs, np.asarray(y_hat, np.float32)

    def for_size(self, image_px: Size) -> SizedNetworks:
        """Networks and steps for images of one size, padding included."""
        multiple_px, y_px = self._spec.padding_multiple_px, self._spec.transform.stride
        where = self._tiling(image_px)
        steps = [
            step.on(where, y_px, is_last=step is self._steps[-1])
            for step in self._steps
        ]
        features = None
        if self._hyper_synthesis is not None:
            graph, state = self._hyper_synthesis
            program = partial(
                programs.features, self._numerics, graph, where.canvas_px, state
            )
            features = partial(TiledFeatures, program, where, multiple_px, len(steps))
        return SizedNetworks(self._prior, self._gains, steps, features)

    def _tiling(self, image_px: Size) -> Tiling:
        return tiling(image_px, self._reach_px, self._spec.padding_multiple_px)


class SizedNetworks:
    """`CompiledNetworks` for one image size, as `rdc.model.CodingNetworks`.

    Arrays have a batch of images of this size. What was decoded stays on the host,
    where its symbols come from; each step gets the part of it that its networks see.
    """

    def __init__(
        self,
        prior: Any,
        gains: tuple[RateGains | SharedGains | None, RateGains | None],
        steps: Sequence[CompiledGaussianStep],
        features: Callable[[np.ndarray], TiledFeatures] | None,
    ):
        self._prior, self._gains, self._steps = prior, gains, steps
        self._features = features

    def coding_steps(
        self, rate: float = 0
    ) -> Sequence[CompiledPriorStep | CompiledGaussianStep]:
        y, z = (NO_GAINS if g is None else g.on_host(rate) for g in self._gains)
        if self._features is None:
            return [CompiledPriorStep(PriorStep(self._prior, "y", y))]
        first = CompiledPriorStep(PriorStep(self._prior, "z", z))
        return [first, *(step.at(y) for step in self._steps)]

    def features(self, z_hat: np.ndarray) -> TiledFeatures:
        assert self._features is not None
        return self._features(z_hat)


class TiledFeatures:
    """Hyper features of each tile, on the device, made when they are asked for.

    Args:
      steps: that ask: of several, the features are kept between them.
    """

    def __init__(
        self,
        program: Callable,
        where: Tiling,
        z_px: int,
        steps: int,
        z_hat: np.ndarray,
    ):
        self._program, self._where, self._z_px = program, where, z_px
        self._z_hat, self._keep = z_hat, steps > 1
        self._kept: list[jax.Array] | None = None

    def kept(self) -> TiledFeatures:
        """These, made now and kept."""
        self._kept = list(self)
        return self

    def __iter__(self) -> Iterator[jax.Array]:
        if self._kept is not None:
            return iter(self._kept)
        where = self._where
        made = (
            self._program(where.border_px, where.cut(self._z_hat, self._z_px, tile))
            for tile in where.tiles
        )
        if not self._keep:
            return made
        self._kept = list(made)
        return iter(self._kept)


class HostParameters(NamedTuple):
    """Entropy parameters of a part of y, as the coder needs them.

    Attributes:
      mean: f[n,h,w,C].
      table_index: u8[n,h,w,C]; decided before anything is rounded to float32.
      scale_index: f32[n,h,w,C], continuous, for estimates.
      mean_input: of each tile, on the device.
      step: of the quantisation, f[n,h,w,C]; None: 1.
    """

    mean: np.ndarray
    table_index: np.ndarray
    scale_index: np.ndarray
    mean_input: Sequence[jax.Array | None]
    step: np.ndarray | None = None

    def of_image(self, number: int) -> HostParameters:
        """What the coder needs for one image, with a batch of one."""
        mean, table_index, scale_index = (
            part[number : number + 1]
            for part in (self.mean, self.table_index, self.scale_index)
        )
        step = None if self.step is None else self.step[number : number + 1]
        return HostParameters(mean, table_index, scale_index, (), step)


class CompiledPriorStep:
    """A `PriorStep`: nothing is computed but the bits of its symbols."""

    def __init__(self, step: PriorStep):
        self.latent, self.tables = step.latent, step.tables
        self.select, self.place = step.select, step.place
        self.parameters, self.refine = step.parameters, step.refine
        self.gains, self.is_final, self.is_resident = step.gains, False, False
        self._prior = nnx.split(step.prior)

    def likelihood_bits(self, symbols: np.ndarray, parameters: None) -> np.ndarray:
        """f32[n] bits of integer `symbols`, flat."""
        channels = symbols.shape[-1]
        rows = symbols.reshape(-1, channels)
        step = np.broadcast_to(np.exp(-self.gains.gain), channels)
        bits = partial(programs.prior_bits, *self._prior)
        return programs.in_blocks(
            lambda part: bits(part, step), programs.BLOCK // channels + 1, rows
        )


class CompiledGaussianStep:
    """A `RatedStep`; those of equal networks share one compiled program.

    Attributes:
      is_final: no network that encoder and decoder share sees its values.
      step: its networks.
    """

    gains = NO_GAINS
    is_final = is_resident = False
    _where: Tiling
    _y_px: int

    def __init__(self, step: GaussianStep | SpatialStep, numerics: Numerics):
        self.latent, self.tables = step.latent, step.tables
        self.step, self._numerics = step, numerics
        self._graph, self._state = _split(step.unplaced(), numerics)

    def on(self, where: Tiling, y_px: int, is_last: bool) -> CompiledGaussianStep:
        """The step for images of one size.

        Args:
          is_last: of the steps: no entropy parameter depends on its values.
        """
        step = copy.copy(self)
        step._where, step._y_px = where, y_px
        step.is_final = is_last and self.step.lrp is None
        return step

    def at(self, gains: StepGains) -> CompiledGaussianStep:
        """The step with gains of a rate, those of all channels of y on the host."""
        step = copy.copy(self)
        step.gains = gains.of(self.step.select)
        return step

    @property
    def compiled_with(self) -> tuple[Any, ...]:
        """The first arguments of its programs."""
        return self._numerics, self._graph, self._where.canvas_px, self._state

    def select(self, y: Any) -> Any:
        return self.step.select(y)

    def place(self, part: Any, y_hat: Any) -> Any:
        host: Any = np.asarray(part)
        return self.step.place(host, y_hat)

    def parameters(
        self, features: TiledFeatures, y_hat: np.ndarray | None
    ) -> HostParameters:
        """Mean and table index on the host, `mean_input` of each tile on the device."""
        where = self._where
        support = self.step.support(y_hat) if self.step.support_channels else None
        program = partial(programs.parameters, *self.compiled_with)
        inputs = []

        def of_tiles() -> Iterator[tuple[Any, ...]]:
            for tile, seen in zip(where.tiles, features, strict=True):
                decoded = (
                    None if support is None else where.cut(support, self._y_px, tile)
                )
                found = program(where.border_px, seen, decoded)
                inputs.append(found.mean_input)
                index = self._shifted(np.asarray(found.scale_index))
                table = np.rint(index).astype(np.uint8)
                steps = () if found.step is None else (found.step,)
                yield found.mean, table, index.astype(np.float32), *steps

        mean, table, index, *steps = where.joined_maps(of_tiles(), self._y_px)
        return HostParameters(mean, table, index, inputs, *steps)

    def _shifted(self, scale_index: np.ndarray) -> np.ndarray:
        """On the host, where one addition is the same on every machine."""
        shift = np.multiply(self.gains.gain, LEVELS_PER_LOG, dtype=scale_index.dtype)
        return np.clip(scale_index + shift, 0, NUM_SCALES - 1)

    def refine(self, part: np.ndarray, parameters: HostParameters) -> Any:
        if self.step.lrp is None:
            return part
        where = self._where
        made = (
            programs.refine(
                *self.compiled_with,
                where.border_px,
                where.cut(part, self._y_px, tile),
                seen,
            )
            for tile, seen in zip(where.tiles, parameters.mean_input, strict=True)
        )
        return where.joined(made, self._y_px)

    def likelihood_bits(
        self, symbols: np.ndarray, parameters: HostParameters
    ) -> np.ndarray:
        """f32[n] bits of integer `symbols` under the continuous scales, flat."""
        return programs.in_blocks(
            programs.gaussian_bits,
            programs.BLOCK,
            symbols.ravel(),
            parameters.scale_index.ravel(),
        )


def _split(module: Any, numerics: Numerics) -> tuple[nnx.GraphDef, Any]:
    graph, state = nnx.split(module)
    device = numerics.device()
    return graph, state if device is None else jax.device_put(state, device)
