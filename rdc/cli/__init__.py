"""Commands of the console script `rdc`: the codec, its models and the counter."""

from rdc.cli.app import main

__all__ = ["main"]
