"""The integer decoder in compiled loops: entropy network with its coder, synthesis.

Numbers are float64 that hold whole multiples of 2^-16, and weights whole multiples of
their step. All sums stay below 2^53 (`rdc.overfitted.integers`), so they are exact in
any order and on every processor. docs/format.md has every step.
"""

from __future__ import annotations

import numba
import numpy as np

from rdc.overfitted.spec import REACH
from rdc.overfitted.tables import MEANS, SCALES

FRACTION_BITS = 16
LIMIT = 2.0**26 - 1
BLOCK = 8  # outputs that are computed together
STATE_LOW = np.uint64(1 << 32)  # states of the coder are at least this
PRECISION = np.uint64(16)
MAX_EXPONENT = 12  # of an escaped symbol
DONE, OUT_OF_WORDS, BAD_SYMBOL = 0, 1, 2

_MEAN_STEPS = 2.0**FRACTION_BITS / MEANS
_SCALE_STEPS = 2.0**FRACTION_BITS / 8
_compiled = numba.njit(cache=True, nogil=True, fastmath={"contract"})
_SLOTS = np.uint64(0xFFFF)
_WORD = np.uint64(0xFFFFFFFF)
_WORD_BITS = np.uint64(32)
_RENORMALISE = np.uint64(48)
_HALF = np.uint64(1 << 15)


@_compiled
def hidden_layer(weights, bias, scale, inputs, outputs):
    """outputs = floor(weights inputs scale + bias + 1/2), between 0 and the limit.

    The sums of a block are variables and no array: they stay in registers, and what
    follows need not wait until they were stored.

    Args:
      weights: f64[blocks, n, BLOCK].
      bias: f64[blocks, BLOCK].
      inputs, outputs: f64 of at least n, and of blocks * BLOCK.
    """
    for b in range(weights.shape[0]):
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
        for i in range(weights.shape[1]):
            value = inputs[i]
            s0 += weights[b, i, 0] * value
            s1 += weights[b, i, 1] * value
            s2 += weights[b, i, 2] * value
            s3 += weights[b, i, 3] * value
            s4 += weights[b, i, 4] * value
            s5 += weights[b, i, 5] * value
            s6 += weights[b, i, 6] * value
            s7 += weights[b, i, 7] * value
        first = b * BLOCK
        outputs[first + 0] = s0
        outputs[first + 1] = s1
        outputs[first + 2] = s2
        outputs[first + 3] = s3
        outputs[first + 4] = s4
        outputs[first + 5] = s5
        outputs[first + 6] = s6
        outputs[first + 7] = s7
        for o in range(BLOCK):
            rounded = np.floor(outputs[first + o] * scale + (bias[b, o] + 0.5))
            outputs[first + o] = min(max(rounded, 0.0), LIMIT)


@_compiled
def last_layer(weights, bias, scale, hidden, inputs, outputs):
    """The two outputs, of the hidden layer and of the inputs beside it.

    Args:
      weights: f64[2, n]: for `hidden`, then for `inputs`.
      bias, outputs: f64[2].
    """
    beside = weights.shape[1] - inputs.shape[0]
    for o in range(2):
        even = odd = 0.0
        for i in range(0, beside, 2):
            even += weights[o, i] * hidden[i]
            odd += weights[o, i + 1] * hidden[i + 1]
        for i in range(inputs.shape[0]):
            even += weights[o, beside + i] * inputs[i]
        rounded = np.floor((even + odd) * scale + (bias[o] + 0.5))
        outputs[o] = min(max(rounded, -LIMIT), LIMIT)


@_compiled
def table_and_mean(output, first_scale):
    """Number of the table, and the whole part of the mean."""
    mean = np.floor(output[0] / _MEAN_STEPS + 0.5)
    whole = np.floor((mean + MEANS // 2) / MEANS)
    scale = np.floor(output[1] / _SCALE_STEPS + 0.5) + first_scale
    scale = min(max(scale, 0.0), SCALES - 1.0)
    table = scale * MEANS + (mean - whole * MEANS) + MEANS // 2
    return np.int64(table), np.int64(whole)


@_compiled
def run_grid(grid, coarse, offsets, network, tables, coder, words, decoding, found):
    """Decodes a grid, or finds the tables that code it.

    Args:
      grid: f64[REACH + h, REACH + w + REACH], zero beyond the latents; filled when
        decoding.
      coarse: the coarser grids that the network sees, f64, the coarsest first: the last
        one has half the size.
      offsets: i64[n, 2] of the neighbours, which come after them.
      network: (weights and biases of the hidden layers, those of the last one, scale
        of the weights, first_scale).
      tables: (cumulative i64, starts i64, sizes i64, first symbols i64).
      coder: u64[2]: state, and the next word.
      found: i64[h * w, 2]: table and whole part of each latent, when encoding.

    Returns:
      DONE, or what was wrong with the stream.
    """
    weights, biases, last, last_bias, scale, first_scale = network
    across = grid.shape[1]
    height, width = grid.shape[0] - REACH, across - 2 * REACH
    flat = grid.ravel()
    jumps = offsets[:, 0] * across + offsets[:, 1]
    coarser = len(coarse)
    inputs = np.zeros(coarser + jumps.size)
    hidden, other = np.zeros(128), np.zeros(128)
    outputs = np.zeros(2)
    unit = 2.0**FRACTION_BITS
    for i in range(height):
        for j in range(width):
            place = (REACH + i) * across + REACH + j
            for n in range(coarser):
                halvings = coarser - n
                inputs[n] = coarse[n][i >> halvings, j >> halvings] * unit
            for n in range(jumps.size):
                inputs[coarser + n] = flat[np.uint64(place + jumps[n])] * unit
            hidden_layer(weights[0], biases[0], scale, inputs, hidden)
            for n in range(1, len(weights)):
                hidden_layer(weights[n], biases[n], scale, hidden, other)
                hidden, other = other, hidden
            last_layer(last, last_bias, scale, hidden, inputs, outputs)
            table, whole = table_and_mean(outputs, first_scale)
            if decoding:
                symbol, fault = decode_symbol(table, tables, coder, words)
                if fault != DONE:
                    return fault
                value = whole + symbol
                if abs(value) >= 1024:
                    return BAD_SYMBOL
                flat[np.uint64(place)] = value
            else:
                found[i * width + j, 0] = table
                found[i * width + j, 1] = whole
    return DONE


@_compiled
def _take(first, frequency, slot, coder, words):
    state = np.uint64(frequency) * (coder[0] >> PRECISION) + slot - np.uint64(first)
    if state < STATE_LOW:
        position = np.int64(coder[1])
        if position >= words.size:
            return OUT_OF_WORDS
        state = (state << _WORD_BITS) | np.uint64(words[position])
        coder[1] += np.uint64(1)
    coder[0] = state
    return DONE


@_compiled
def _take_bit(coder, words):
    slot = coder[0] & _SLOTS
    bit = np.int64(slot >= _HALF)
    fault = _take(bit << 15, 1 << 15, slot, coder, words)
    return bit, fault


@_compiled
def decode_symbol(table, tables, coder, words):
    """(symbol, fault): an entry of the table, or what follows its escape entry."""
    cumulative, starts, sizes, firsts = tables
    start, size = starts[table], sizes[table]
    slot = coder[0] & _SLOTS
    low, high = 0, size  # cumulative[start + low] <= slot < cumulative[start + high]
    wanted = np.int64(slot)
    while high - low > 1:
        middle = (low + high) >> 1
        if cumulative[start + middle] <= wanted:
            low = middle
        else:
            high = middle
    begin = cumulative[start + low]
    fault = _take(begin, cumulative[start + low + 1] - begin, slot, coder, words)
    if fault != DONE or low < size - 1:
        return firsts[table] + low, fault
    exponent = 0
    while True:
        bit, fault = _take_bit(coder, words)
        if fault != DONE or bit == 0:
            break
        exponent += 1
        if exponent > MAX_EXPONENT:
            return 0, BAD_SYMBOL
    value = np.int64(1)
    for _ in range(exponent):
        bit, fault = _take_bit(coder, words)
        if fault != DONE:
            break
        value = (value << 1) | bit
    value -= 1
    if value & 1:
        return firsts[table] - (value + 1) // 2, fault
    return firsts[table] + (size - 1) + value // 2, fault


@_compiled
def _put(first, frequency, coder, words):
    state, wide = coder[0], np.uint64(frequency)
    if state >= (wide << _RENORMALISE):
        words[np.int64(coder[1])] = np.uint32(state & _WORD)
        coder[1] += np.uint64(1)
        state >>= _WORD_BITS
    coder[0] = ((state // wide) << PRECISION) + state % wide + np.uint64(first)


@_compiled
def encode_symbols(symbols, numbers, tables, coder, words):
    """Pushes symbols, the last first; the words come out in reverse order, too."""
    cumulative, starts, sizes, firsts = tables
    for n in range(symbols.size - 1, -1, -1):
        table = numbers[n]
        start, size, first = starts[table], sizes[table], firsts[table]
        entry = symbols[n] - first
        if entry < 0 or entry >= size - 1:
            value = 2 * (entry - (size - 1)) if entry >= 0 else -2 * entry - 1
            exponent = 0
            while (value + 1) >> (exponent + 1):
                exponent += 1
            for b in range(exponent):
                _put((((value + 1) >> b) & 1) << 15, 1 << 15, coder, words)
            _put(0, 1 << 15, coder, words)
            for _ in range(exponent):
                _put(1 << 15, 1 << 15, coder, words)
            entry = size - 1
        begin = cumulative[start + entry]
        _put(begin, cumulative[start + entry + 1] - begin, coder, words)


@_compiled
def doubled(planes, taps, scale, height, width):
    """f64[C,h,w] -> f64[C,height,width], twice the size but for a last odd one."""
    count, rows, columns = planes.shape
    result = np.empty((count, height, width))
    wide = np.empty(columns + 4)
    line = np.empty(2 * columns)
    for c in range(count):
        for r in range(height):
            i, odd = r >> 1, r & 1
            for j in range(columns):
                wide[j + 2] = 0.0
            for t in range(4):
                row = min(max(i - 2 + odd + t, 0), rows - 1)
                tap = taps[3 - t] if odd else taps[t]
                for j in range(columns):
                    wide[j + 2] += tap * planes[c, row, j]
            for j in range(columns):
                wide[j + 2] = np.floor(wide[j + 2] * scale + 0.5)
            wide[0] = wide[1] = wide[2]
            wide[columns + 2] = wide[columns + 3] = wide[columns + 1]
            for j in range(columns):
                even = taps[0] * wide[j] + taps[1] * wide[j + 1]
                even += taps[2] * wide[j + 2] + taps[3] * wide[j + 3]
                line[2 * j] = np.floor(even * scale + 0.5)
                mirrored = taps[3] * wide[j + 1] + taps[2] * wide[j + 2]
                mirrored += taps[1] * wide[j + 3] + taps[0] * wide[j + 4]
                line[2 * j + 1] = np.floor(mirrored * scale + 0.5)
            for j in range(width):
                result[c, r, j] = min(max(line[j], -LIMIT), LIMIT)
    return result


@_compiled
def pointwise(planes, first, bias, scale, last, last_bias, last_scale):
    """1x1 layer, ReLU, 1x1 layer beside the planes: f64[C,H,W] -> f64[3,H,W].

    Args:
      first, bias: f64[S,C], f64[S].
      last, last_bias: f64[3, S + C], f64[3].
    """
    count, height, width = planes.shape
    colours = np.empty((3, height, width))
    hidden = np.empty(width)
    sums = np.empty((3, width))
    for r in range(height):
        sums[:] = 0.0
        for s in range(first.shape[0]):
            for j in range(width):
                hidden[j] = 0.0
            for c in range(count):
                weight = first[s, c]
                for j in range(width):
                    hidden[j] += weight * planes[c, r, j]
            shift = bias[s] + 0.5
            for j in range(width):
                value = np.floor(hidden[j] * scale + shift)
                hidden[j] = min(max(value, 0.0), LIMIT)
            for k in range(3):
                weight = last[k, s]
                for j in range(width):
                    sums[k, j] += weight * hidden[j]
        for k in range(3):
            for c in range(count):
                weight = last[k, first.shape[0] + c]
                for j in range(width):
                    sums[k, j] += weight * planes[c, r, j]
            shift = last_bias[k] + 0.5
            for j in range(width):
                value = np.floor(sums[k, j] * last_scale + shift)
                colours[k, r, j] = min(max(value, -LIMIT), LIMIT)
    return colours


@_compiled
def residual(colours, weights, bias, scale):
    """f64[3,h,w] + the 3x3 convolution of its ReLU -> f64[3,h-2,w-2].

    Args:
      weights: f64[3, 3, 3, 3] by output, row, column, input.
    """
    height, width = colours.shape[1] - 2, colours.shape[2] - 2
    result = np.empty((3, height, width))
    sums = np.empty(width)
    for r in range(height):
        for k in range(3):
            for j in range(width):
                sums[j] = 0.0
            for dr in range(3):
                for dc in range(3):
                    for c in range(3):
                        weight = weights[k, dr, dc, c]
                        for j in range(width):
                            sums[j] += weight * max(colours[c, r + dr, j + dc], 0.0)
            shift = bias[k] + 0.5
            for j in range(width):
                value = np.floor(sums[j] * scale + shift) + colours[k, r + 1, j + 1]
                result[k, r, j] = min(max(value, -LIMIT), LIMIT)
    return result
