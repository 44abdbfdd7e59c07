"""Estimates of compilers for devices that are not at hand."""
