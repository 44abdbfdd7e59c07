"""Exact cost of an architecture, without its weights."""

from rdc.complexity.count import Complexity, ComponentCost, count

__all__ = ["Complexity", "ComponentCost", "count"]
