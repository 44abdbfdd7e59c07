"""Real bitstreams: a `Codec` compresses images to bytes and back.

What needs JAX is imported when it is used: `rdc info` answers without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rdc.codec.base import Codec, Decoded, Encoded
from rdc.errors import BitstreamError

if TYPE_CHECKING:
    from rdc.codec.classical import ClassicalCodec
    from rdc.codec.learned import LearnedCodec

__all__ = [
    "BitstreamError",
    "ClassicalCodec",
    "Codec",
    "Decoded",
    "Encoded",
    "LearnedCodec",
]


def __getattr__(name: str) -> Any:
    if name == "LearnedCodec":
        from rdc.codec.learned import LearnedCodec

        return LearnedCodec
    if name == "ClassicalCodec":
        from rdc.codec.classical import ClassicalCodec

        return ClassicalCodec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
