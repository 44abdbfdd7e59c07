"""Real bitstreams: `Codec` compresses images to bytes and back."""

from rdc.codec.codec import Codec, Decoded, Encoded
from rdc.errors import BitstreamError

__all__ = ["BitstreamError", "Codec", "Decoded", "Encoded"]
