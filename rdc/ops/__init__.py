"""Numerics as pure functions: everything that modules are thin shells over."""
