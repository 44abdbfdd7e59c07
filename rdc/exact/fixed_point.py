"""Networks in integer arithmetic: the same results on every device, bit for bit.

The networks that encoder and decoder share decide about table indices: one index that
differs destroys the rest of a stream. In floating point the order of a sum changes its
last bits, and the order is up to the device, the threads and the compiler. So a network
is traced, and its operations are carried out on integers that stand for multiples of
2^-16:

    products with weights   weights become integers too, small enough for every partial
    (convolution, Dense)    sum to stay below 2^53: then float64 adds without rounding,
                            in whatever order, and fast
    elementwise operations  int64, rounded by shifts
    tanh, exp, erfc         tables over a grid (rdc.exact.functions)
    LayerNorm               a routine of its own (rdc.exact.normalization)
    moves                   as they are

Results saturate at +-2^13, far beyond what trained networks give. An operation that
nobody wrote down here is an error, never floating point. docs/format.md has the rules
for a second implementation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

from rdc.exact import functions, normalization
from rdc.exact.errors import InexactPrimitiveError
from rdc.exact.functions import FRACTION_BITS, LIMIT, round_shift
from rdc.ops.convolution import fixed_convolution_forms

# A product of a value (29 bits) and all weights of one output (23 bits) has 52 bits.
WEIGHT_FRACTION_BITS = 24
WEIGHT_SUM_BITS = 22
# In products of two values (attention), each is limited to 2^22 steps, that is 64.
PAIR_LIMIT = 1 << 22
MAX_PAIR_DEPTH = 256
SUM_LIMIT = 1 << 45


@dataclass(frozen=True)
class Fixed:
    """Activations: int64 multiples of 2^-16."""

    steps: jax.Array


@dataclass(frozen=True)
class Weight:
    """Weights and constants: floating point until an operation says how fine."""

    values: jax.Array


Value = Any  # Fixed, Weight, or an array of integers or booleans


def in_fixed_point(function: Callable) -> Callable:
    """`function(state, *inputs)` in integer arithmetic.

    Args:
      function: a network; traced with float32 shapes.

    Returns:
      A function of weights and of arrays of any float type, which are rounded to the
      grid; integers stay what they are. Its results are float64 arrays, multiples of
      2^-16. To be called, and compiled, under `jax.enable_x64`.
    """

    def run(state: Any, *inputs: Any) -> Any:
        shapes = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(a.shape, _traced_dtype(a)), (state, *inputs)
        )

        def traced(*arguments: Any) -> Any:  # new, so that no earlier trace is reused
            return function(*arguments)

        with jax.enable_x64(False), fixed_convolution_forms("phases"):
            closed, result = jax.make_jaxpr(traced, return_shape=True)(*shapes)
        weights = [Weight(w.astype(jnp.float64)) for w in jax.tree.leaves(state)]
        values = [
            Fixed(to_steps(a)) if _traced_dtype(a) == jnp.float32 else a
            for a in jax.tree.leaves(inputs)
        ]
        outputs = interpret(closed.jaxpr, closed.consts, [*weights, *values])
        arrays = [_as_fixed(v).astype(jnp.float64) / 2**FRACTION_BITS for v in outputs]
        return jax.tree.unflatten(jax.tree.structure(result), arrays)

    return run


def _traced_dtype(array: Any) -> Any:
    is_floating = jnp.issubdtype(array.dtype, jnp.floating)
    return jnp.float32 if is_floating else array.dtype


def to_steps(values: jax.Array) -> jax.Array:
    """The nearest multiples of 2^-16 (halves to even), int64, saturated."""
    scaled = values.astype(jnp.float64) * 2**FRACTION_BITS
    return jnp.clip(jnp.round(scaled), -LIMIT, LIMIT).astype(jnp.int64)


def interpret(
    jaxpr: core.Jaxpr, consts: Sequence[Any], inputs: Sequence[Value]
) -> list[Value]:
    """Results of `jaxpr` in integer arithmetic.

    Raises:
      InexactPrimitiveError: it holds an operation that has no integer counterpart.
    """
    known: dict[Any, Value] = dict(zip(jaxpr.invars, inputs, strict=True))
    known |= dict(zip(jaxpr.constvars, map(_constant, consts), strict=True))

    def read(atom: Any) -> Value:
        return _constant(atom.val) if isinstance(atom, core.Literal) else known[atom]

    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        results = _apply(equation, operands)
        known |= dict(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _constant(value: Any) -> Value:
    array = jnp.asarray(value)
    if jnp.issubdtype(array.dtype, jnp.floating):
        return Weight(array.astype(jnp.float64))
    return array


def _apply(equation: core.JaxprEqn, operands: list[Value]) -> list[Value]:
    name, params = equation.primitive.name, equation.params
    if name in _NESTED and params.get("name") in _ROUTINES:
        return [Fixed(_ROUTINES[params["name"]](*map(_as_fixed, operands)))]
    if name in _NESTED:
        inner = params[_NESTED[name]]
        return interpret(inner.jaxpr, inner.consts, operands)
    if not any(isinstance(o, (Fixed, Weight)) for o in operands):
        results = equation.primitive.bind(*operands, **params)
        if not equation.primitive.multiple_results:
            results = [results]
        return [_constant(result) for result in results]
    if name in _MOVES:
        return _move(equation, operands)
    if name == "convert_element_type":
        return operands
    if name not in _OPERATIONS:
        raise InexactPrimitiveError(
            "every operation of an entropy network has an integer counterpart",
            name,
            "add it to rdc/exact/fixed_point.py, or code with numerics=native",
        )
    return [Fixed(_OPERATIONS[name](*operands, **params))]


def _move(equation: core.JaxprEqn, operands: list[Value]) -> list[Value]:
    """The operation itself, on steps, or on weights where all operands are weights."""
    if any(isinstance(o, Fixed) for o in operands):
        wrap: type = Fixed
        plain = [
            _as_fixed(o) if isinstance(o, (Fixed, Weight)) else o for o in operands
        ]
    else:
        wrap = Weight
        plain = [o.values if isinstance(o, Weight) else o for o in operands]
    results = equation.primitive.bind(*plain, **equation.params)
    if not equation.primitive.multiple_results:
        results = [results]
    return [wrap(result) for result in results]


def _as_fixed(value: Value) -> jax.Array:
    if isinstance(value, Fixed):
        return value.steps
    return to_steps(value.values)


def _saturated(steps: jax.Array, limit: int = LIMIT) -> jax.Array:
    return jnp.clip(steps, -limit, limit)


def _elementwise(function: Callable) -> Callable:
    def apply(*operands: Value, **_: Any) -> jax.Array:
        return _saturated(function(*map(_as_fixed, operands)))

    return apply


def _multiply(a: jax.Array, b: jax.Array) -> jax.Array:
    return round_shift(_saturated(a) * _saturated(b), FRACTION_BITS)


def _sum(x: Value, *, axes: Sequence[int], **_: Any) -> jax.Array:
    # Not to 2^13 yet: a mean divides next.
    return _saturated(jnp.sum(_as_fixed(x), axis=tuple(axes)), SUM_LIMIT)


def _maximum_along(x: Value, *, axes: Sequence[int], **_: Any) -> jax.Array:
    return jnp.max(_as_fixed(x), axis=tuple(axes))


def _compare(operation: Callable) -> Callable:
    def apply(a: Value, b: Value, **_: Any) -> jax.Array:
        return operation(_as_fixed(a), _as_fixed(b))

    return apply


def _convolution(x: Value, kernel: Value, **params: Any) -> jax.Array:
    keep = ("window_strides", "padding", "lhs_dilation", "rhs_dilation")
    numbers = params["dimension_numbers"]
    if not (isinstance(x, Fixed) and isinstance(kernel, Weight)):
        raise InexactPrimitiveError("kernels are weights", "a computed one")
    if params["batch_group_count"] != 1:
        raise InexactPrimitiveError("convolutions have one batch", "several")
    axes = tuple(a for a in range(kernel.values.ndim) if a != numbers.rhs_spec[0])
    weights, fraction_bits = _integer_weights(kernel.values, axes)
    if params["feature_group_count"] != 1:
        total = _depthwise_sum(_saturated(x.steps), weights, params)
        return _saturated(round_shift(total, fraction_bits))
    product = lax.conv_general_dilated(
        _saturated(x.steps).astype(jnp.float64),
        weights,
        dimension_numbers=numbers,
        precision=lax.Precision.HIGHEST,
        **{name: params[name] for name in keep},
    )
    return _saturated(round_shift(product.astype(jnp.int64), fraction_bits))


def _depthwise_sum(x: jax.Array, weights: jax.Array, params: Any) -> jax.Array:
    """int64[B,H,W,C] of every channel by itself: the same sum, without a convolution
    of groups, which CPUs are slow at.

    Args:
      weights: whole numbers, [k,k,1,C].
    """
    rows, columns, _, channels = weights.shape
    if params["feature_group_count"] != channels or params["window_strides"] != (1, 1):
        raise InexactPrimitiveError(
            "convolutions have one group, or one per channel and stride 1",
            params["feature_group_count"],
        )
    height, width = x.shape[1:3]
    padded = jnp.pad(x, [(0, 0), *params["padding"], (0, 0)])
    taps = weights.astype(jnp.int64)
    total = jnp.zeros_like(x)
    for row, column in itertools.product(range(rows), range(columns)):
        part = padded[:, row : row + height, column : column + width]
        total = total + part * taps[row, column, 0]
    return total


def _dot(a: Value, b: Value, *, dimension_numbers: Any, **_: Any) -> jax.Array:
    (contracted_a, contracted_b), _ = dimension_numbers
    dot = partial(
        lax.dot_general,
        dimension_numbers=dimension_numbers,
        precision=lax.Precision.HIGHEST,
    )
    if isinstance(b, Weight) and isinstance(a, Fixed):
        weights, fraction_bits = _integer_weights(b.values, tuple(contracted_b))
        product = dot(_saturated(a.steps).astype(jnp.float64), weights)
    elif isinstance(a, Fixed) and isinstance(b, Fixed):
        depth = math.prod(a.steps.shape[axis] for axis in contracted_a)
        if depth > MAX_PAIR_DEPTH:
            raise InexactPrimitiveError(
                f"products of two values sum at most {MAX_PAIR_DEPTH} terms", depth
            )
        pair = [_saturated(v.steps, PAIR_LIMIT).astype(jnp.float64) for v in (a, b)]
        product, fraction_bits = dot(*pair), jnp.int64(FRACTION_BITS)
    else:
        raise InexactPrimitiveError("weights are the second operand", "the first")
    return _saturated(round_shift(product.astype(jnp.int64), fraction_bits))


def _integer_weights(
    weights: jax.Array, summed_axes: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Weights as integers in float64, and how many fraction bits they have.

    As fine as the largest sum of magnitudes over `summed_axes` allows: it stays below
    2^23, and with values below 2^29 no partial sum reaches 2^53.
    """
    fine = jnp.round(weights * 2**WEIGHT_FRACTION_BITS).astype(jnp.int64)
    largest = jnp.max(jnp.sum(jnp.abs(fine), axis=summed_axes))
    bits = jnp.sum(largest >= (jnp.int64(1) << jnp.arange(62)))
    dropped = jnp.maximum(bits - WEIGHT_SUM_BITS, 0)
    steps = round_shift(fine, dropped)
    return steps.astype(jnp.float64), WEIGHT_FRACTION_BITS - dropped


_NESTED = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}

# Functions that are computed as a whole, by the name that `jax.jit` gives them.
_ROUTINES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "normalize_over_channels": normalization.normalize,  # rdc.ops.normalization
}

_MOVES = set(
    """
    broadcast_in_dim concatenate copy expand_dims gather optimization_barrier pad
    reshape rev select_n slice split squeeze stack stop_gradient tile transpose unstack
    """.split()
)

_OPERATIONS: dict[str, Callable] = {
    "add": _elementwise(jnp.add),
    "sub": _elementwise(jnp.subtract),
    "neg": _elementwise(jnp.negative),
    "abs": _elementwise(jnp.abs),
    "max": _elementwise(jnp.maximum),
    "min": _elementwise(jnp.minimum),
    "mul": _elementwise(_multiply),
    "div": _elementwise(functions.divide),
    "tanh": _elementwise(functions.tanh),
    "exp": _elementwise(functions.exp),
    "erfc": _elementwise(functions.erfc),
    "reduce_sum": _sum,
    "reduce_max": _maximum_along,
    "conv_general_dilated": _convolution,
    "dot_general": _dot,
}
