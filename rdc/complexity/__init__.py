"""Exact cost of an architecture, without its weights."""

from rdc.complexity.count import (
    Complexity,
    ComponentCost,
    NetworkCost,
    count,
    count_network,
)

__all__ = [
    "Complexity",
    "ComponentCost",
    "NetworkCost",
    "count",
    "count_network",
]
