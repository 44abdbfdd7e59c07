"""The decoder's networks in integers, from the numbers of a file.

Bounds: activations below 2^26 (values below 1024), weights below 2^19 steps, at most
64 + 34 terms in a sum: below 2^53, where float64 holds every whole number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from rdc.errors import BitstreamError
from rdc.overfitted import kernels
from rdc.overfitted.kernels import BLOCK, FRACTION_BITS
from rdc.overfitted.parameters import COLOURS, group_of, start
from rdc.overfitted.spec import REACH, OverfittedSpec
from rdc.overfitted.tables import MIN_LOG2_SCALE, SCALES_PER_OCTAVE, frozen_tables

MAX_STEP_BITS = 16
MAX_WEIGHT_STEP_BITS = 12
MAX_NUMBER = 1 << 18  # of a coded parameter in steps; what it starts from is less
MAX_LATENT = 1023
_FIRST_SCALE = float(-MIN_LOG2_SCALE * SCALES_PER_OCTAVE)


@dataclass(frozen=True)
class CodedNetworks:
    """What a file says of the networks.

    Attributes:
      step_bits: group -> its numbers are multiples of 2^-bits.
      numbers: parameter -> i64, differences from `parameters.start` in those steps.
    """

    step_bits: Mapping[str, int]
    numbers: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        for group, bits in self.step_bits.items():
            most = MAX_STEP_BITS if group.endswith("bias") else MAX_WEIGHT_STEP_BITS
            if not 0 <= bits <= most:
                raise BitstreamError(f"steps of {group} are 1 to 2^-{most}", bits)
        for name, values in self.numbers.items():
            if values.size and np.abs(values).max() >= MAX_NUMBER:
                raise BitstreamError(
                    f"parameters are below {MAX_NUMBER} steps", f"more in {name}"
                )

    def parameters(self, spec: OverfittedSpec) -> dict[str, np.ndarray]:
        """As floating point, f32: what the integers stand for."""
        return {
            name: (value * 2.0 ** -self._bits(name)).astype(np.float32)
            for name, value in self.in_steps(spec).items()
        }

    def in_steps(self, spec: OverfittedSpec) -> dict[str, np.ndarray]:
        """Whole multiples of each group's step, f64."""
        return {
            name: np.floor(value.astype(np.float64) * 2.0 ** self._bits(name) + 0.5)
            + self.numbers[name]
            for name, value in start(spec).items()
        }

    def _bits(self, name: str) -> int:
        return self.step_bits[group_of(name)]


class IntegerDecoder:
    """Latents by the entropy network, and pixels of them.

    Args:
      coded: the networks of one image.
    """

    def __init__(self, spec: OverfittedSpec, coded: CodedNetworks):
        self._spec = spec
        self._steps = coded.in_steps(spec)
        self._scale = {g: 2.0**-bits for g, bits in coded.step_bits.items()}
        self._network = self._entropy_network()

    def decoded_latents(
        self, words: np.ndarray, shapes: tuple[tuple[int, int], ...]
    ) -> list[np.ndarray]:
        """Latents f64[h,w] of the words of a stream, the finest grid first.

        Raises:
          BitstreamError: no stream of these sizes.
        """
        if words.size < 2:
            raise _damaged(f"{words.size} words")
        coder = np.array([int(words[0]) << 32 | int(words[1]), 2], np.uint64)
        latents: list[np.ndarray] = []
        for k in reversed(range(len(shapes))):
            height, width = shapes[k]
            padded = np.zeros((REACH + height, width + 2 * REACH))
            coarse = self._coarse(latents, shapes[k])
            fault = self._run(padded, coarse, coder, words, True, _NOTHING)
            if fault != kernels.DONE:
                raise _damaged(
                    "its end too early"
                    if fault == kernels.OUT_OF_WORDS
                    else "an impossible symbol"
                )
            latents.insert(0, padded[REACH:, REACH:-REACH].copy())
        if int(coder[0]) != int(kernels.STATE_LOW) or int(coder[1]) != words.size:
            raise _damaged("more data, or other data")
        return latents

    def encoded_latents(self, latents: list[np.ndarray]) -> np.ndarray:
        """Words u32[n] of the stream of latents f64[h,w], whole and below 1024."""
        tables, symbols = [], []
        for k in reversed(range(len(latents))):
            grid = latents[k]
            padded = np.pad(grid, ((REACH, 0), (REACH, REACH)))
            coarse = self._coarse(latents[k + 1 :], grid.shape)
            found = np.empty((grid.size, 2), np.int64)
            self._run(padded, coarse, _NO_CODER, _NO_WORDS, False, found)
            tables.append(found[:, 0])
            symbols.append(grid.ravel().astype(np.int64) - found[:, 1])
        count = sum(s.size for s in symbols)
        # An escaped symbol takes at most 16 + 26 bits; others at most 16.
        words = np.empty(2 * count + 2, np.uint32)
        coder = np.array([kernels.STATE_LOW, 0], np.uint64)
        kernels.encode_symbols(
            np.concatenate(symbols),
            np.concatenate(tables),
            _table_arrays(),
            coder,
            words,
        )
        state, used = int(coder[0]), int(coder[1])
        head = np.array([state >> 32, state & 0xFFFFFFFF], np.uint32)
        return np.concatenate([head, words[:used][::-1]])

    def pixels(self, latents: list[np.ndarray]) -> np.ndarray:
        """x_hat u8[H,W,3] of latents f64[h,w], the finest grid first."""
        spec, steps, scale = self._spec, self._steps, self._scale
        planes = latents[-1][None] * 2.0**FRACTION_BITS
        for k in reversed(range(len(latents) - 1)):
            finer, taps = latents[k], steps[f"upsampling.taps.{k}"]
            wide = kernels.doubled(planes, taps, scale["upsampling.taps"], *finer.shape)
            planes = np.concatenate([finer[None] * 2.0**FRACTION_BITS, wide])
        last = np.concatenate(
            [steps["synthesis.weight.out"], steps["synthesis.weight.bypass"]], 1
        )
        colours = kernels.pointwise(
            planes,
            steps["synthesis.weight.0"],
            self._bias("synthesis.bias.0"),
            scale["synthesis.weight"],
            last,
            self._bias("synthesis.bias.out"),
            scale["synthesis.weight"],
        )
        blocks = spec.residual_blocks
        pads = ((0, 0), (blocks, blocks), (blocks, blocks))
        colours = np.pad(colours, pads, mode="edge")
        for i in range(blocks):
            weights = steps[f"residual.weight.{i}"].reshape(COLOURS, 3, 3, COLOURS)
            colours = kernels.residual(
                colours,
                weights,
                self._bias(f"residual.bias.{i}"),
                scale["residual.weight"],
            )
        levels = np.floor(colours * (255 * 2.0**-FRACTION_BITS) + 0.5)
        return np.clip(levels, 0, 255).astype(np.uint8).transpose(1, 2, 0).copy()

    def _entropy_network(self) -> tuple:
        """What `kernels.run_grid` takes.

        Coarser grids come first and the nearest neighbours last: what was decoded last
        is then waited for last.
        """
        spec, steps = self._spec, self._steps
        order = np.arange(spec.entropy_inputs)[::-1]
        weights, biases = [], []
        for i in range(len(spec.entropy_widths)):
            weights.append(_blocks(steps[f"entropy.weight.{i}"]))
            biases.append(_blocks(self._bias(f"entropy.bias.{i}")[:, None])[:, 0])
        weights[0] = weights[0][:, order].copy()
        for i in range(1, len(weights)):  # inputs come in whole blocks
            missing = weights[i - 1].shape[0] * BLOCK - weights[i].shape[1]
            weights[i] = np.pad(weights[i], ((0, 0), (0, missing), (0, 0)))
        hidden = weights[-1].shape[0] * BLOCK
        last = np.zeros((2, hidden + spec.entropy_inputs))
        last[:, : spec.entropy_widths[-1]] = steps["entropy.weight.out"]
        last[:, hidden:] = steps["entropy.weight.bypass"][:, order]
        bias = self._bias("entropy.bias.out")
        scale = self._scale["entropy.weight"]
        return tuple(weights), tuple(biases), last, bias, scale, _FIRST_SCALE

    def _bias(self, name: str) -> np.ndarray:
        """In multiples of 2^-16."""
        return self._steps[name] * self._scale[group_of(name)] * 2.0**FRACTION_BITS

    def _coarse(
        self, coarser: list[np.ndarray], shape: tuple[int, ...]
    ) -> tuple[np.ndarray, ...]:
        """The coarser grids that the network sees, the coarsest first; zero beyond."""
        seen = [
            coarser[n]
            if n < len(coarser)
            else np.zeros([-(-s // 2 ** (n + 1)) for s in shape])
            for n in range(self._spec.coarser)
        ]
        return tuple(seen[::-1])

    def _run(
        self,
        padded: np.ndarray,
        coarse: tuple[np.ndarray, ...],
        coder: np.ndarray,
        words: np.ndarray,
        decoding: bool,
        found: np.ndarray,
    ) -> int:
        offsets = np.array(self._spec.neighbours[::-1], np.int64)
        return kernels.run_grid(
            padded,
            coarse,
            offsets,
            self._network,
            _table_arrays(),
            coder,
            words,
            decoding,
            found,
        )


_NOTHING = np.empty((0, 2), np.int64)
_NO_CODER = np.zeros(2, np.uint64)
_NO_WORDS = np.empty(0, np.uint32)


def _blocks(matrix: np.ndarray) -> np.ndarray:
    """[outputs, inputs] -> [blocks, inputs, BLOCK], padded by zeros."""
    count = -(-matrix.shape[0] // BLOCK)
    padded = np.pad(matrix, ((0, count * BLOCK - matrix.shape[0]), (0, 0)))
    return padded.reshape(count, BLOCK, -1).transpose(0, 2, 1).copy()


@cache
def _table_arrays() -> tuple[np.ndarray, ...]:
    """Cumulative frequencies of all tables, their starts, sizes and first symbols."""
    tables = frozen_tables()
    cumulative = [
        np.concatenate([[0], np.cumsum(f, dtype=np.int64)]) for f in tables.split()
    ]
    lengths = [c.size for c in cumulative]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return (
        np.concatenate(cumulative).astype(np.int64),
        starts.astype(np.int64),
        tables.sizes.astype(np.int64),
        tables.offsets.astype(np.int64),
    )


def _damaged(found: str) -> BitstreamError:
    return BitstreamError(
        "a stream of latents fits the image's size", found, "fetch the file again"
    )
