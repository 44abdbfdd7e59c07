"""Multiply-accumulates and live memory of a traced computation, by primitive."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
from jax.extend import core

from rdc.errors import RdcError

# Primitives that hold a jaxpr to look into.
_NESTED = {
    "closed_call",
    "custom_jvp_call",
    "custom_vjp_call",
    "jit",
    "pjit",
    "remat2",
    "checkpoint",
}

# Elementwise, reductions and moves: by convention they cost nothing (a GDN's
# division, a ReLU, a softmax). The MACs of its products are what the field counts.
_FREE = set(
    """
    abs add add_any and and_ broadcast_in_dim ceil clamp concatenate
    convert_element_type copy cos cumsum div dynamic_slice eq erf erf_inv erfc
    exp exp2 expand_dims floor gather ge gt integer_pow iota is_finite le log
    log1p logistic lt max min mul ne neg not optimization_barrier or pad pow
    reduce_max reduce_min reduce_sum reduce_window_max rem reshape rev roll round
    rsqrt select_n sign sin slice split sqrt square squeeze stack stop_gradient sub
    tanh tile transpose unstack
    """.split()
)


class UncountedPrimitiveError(RdcError):
    """The traced computation holds a primitive that nobody decided how to count."""


@dataclass(frozen=True)
class Product:
    """A convolution, or a product of matrices.

    Attributes:
      macs: multiply-accumulates, dense: taps on zero padding count.
      bytes: of both operands and the result, each moved once.
    """

    macs: int
    bytes: int


@dataclass(frozen=True)
class Cost:
    """Of one traced function.

    Attributes:
      products: all of them, in their order.
      peak_bytes: largest sum of live arrays (inputs included, weights not), each
        primitive on its own: an upper bound of what a fusing compiler needs.
    """

    products: tuple[Product, ...]
    peak_bytes: int

    @property
    def macs(self) -> int:
        return sum(product.macs for product in self.products)


def cost_of(function: Callable, state: Any, *inputs: Any) -> tuple[Cost, Any]:
    """Traces `function(state, *inputs)` on shapes and counts it.

    Args:
      state: pytree of shapes of the weights.
      inputs: pytrees of shapes (`jax.ShapeDtypeStruct`).

    Returns:
      The cost and the shapes of the outputs.
    """
    closed, outputs = jax.make_jaxpr(function, return_shape=True)(state, *inputs)
    weights = len(jax.tree.leaves(state))
    jaxpr = closed.jaxpr
    peak = peak_bytes(jaxpr, set(jaxpr.invars[:weights]))
    return Cost(tuple(products(jaxpr)), peak), outputs


def products(jaxpr: core.Jaxpr) -> Iterator[Product]:
    """Those of all equations, nested ones included.

    Raises:
      UncountedPrimitiveError: for a primitive neither counted nor listed as free.
    """
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name == "dot_general":
            yield Product(_dot_macs(equation), _moved(equation))
        elif name == "conv_general_dilated":
            yield Product(_convolution_macs(equation), _moved(equation))
        elif name in _NESTED or name == "scan":
            inside = [p for inner in _inner_jaxprs(equation) for p in products(inner)]
            yield from inside * equation.params.get("length", 1)
        elif name not in _FREE:
            raise UncountedPrimitiveError(
                "every primitive is counted or listed as free",
                name,
                "decide how it counts in rdc/complexity/jaxpr_cost.py",
            )


def peak_bytes(jaxpr: core.Jaxpr, ignored: set | None = None) -> int:
    """Largest sum of live arrays while the equations run in order."""
    ignored = ignored or set()
    last_use: dict[Any, int] = {}
    for i, equation in enumerate(jaxpr.eqns):
        for variable in equation.invars:
            if not isinstance(variable, core.Literal):
                last_use[variable] = i
    for variable in jaxpr.outvars:
        if not isinstance(variable, core.Literal):
            last_use[variable] = len(jaxpr.eqns)

    alive = {v: _size(v) for v in jaxpr.invars if v not in ignored}
    now = peak = sum(alive.values())
    for i, equation in enumerate(jaxpr.eqns):
        inside = max(
            (
                peak_bytes(inner, set()) - sum(map(_size, inner.invars))
                for inner in _inner_jaxprs(equation)
            ),
            default=0,
        )
        outputs = sum(map(_size, equation.outvars))
        peak = max(peak, now + max(outputs, inside))
        for variable in equation.outvars:
            if last_use.get(variable, -1) > i:
                alive[variable] = _size(variable)
                now += alive[variable]
        for variable in set(
            v for v in equation.invars if not isinstance(v, core.Literal)
        ):
            if last_use[variable] == i and variable in alive:
                now -= alive.pop(variable)
    return peak


def _inner_jaxprs(equation: core.JaxprEqn) -> Iterator[core.Jaxpr]:
    for value in equation.params.values():
        if isinstance(value, core.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, core.Jaxpr):
            yield value


def _dot_macs(equation: core.JaxprEqn) -> int:
    (contracting, _), _ = equation.params["dimension_numbers"]
    left = _shaped(equation.invars[0]).shape
    depth = math.prod(left[axis] for axis in contracting)
    return math.prod(_shaped(equation.outvars[0]).shape) * depth


def _convolution_macs(equation: core.JaxprEqn) -> int:
    kernel = _shaped(equation.invars[1]).shape
    numbers = equation.params["dimension_numbers"]
    taps = math.prod(kernel) // kernel[numbers.rhs_spec[0]]  # k^2 * cin / groups
    # Zeros that dilation inserts into the input are no work: of a stride-2 transposed
    # convolution only a quarter of the taps meets data.
    dilation = math.prod(equation.params["lhs_dilation"])
    return math.prod(_shaped(equation.outvars[0]).shape) * taps // dilation


def _moved(equation: core.JaxprEqn) -> int:
    return sum(map(_size, (*equation.invars, *equation.outvars)))


def _size(variable: Any) -> int:
    aval = _shaped(variable)
    if not hasattr(aval, "shape"):
        return 0
    return math.prod(aval.shape) * aval.dtype.itemsize


def _shaped(variable: Any) -> Any:
    """Shape and type of a variable; tokens and the like have neither."""
    return variable.aval
