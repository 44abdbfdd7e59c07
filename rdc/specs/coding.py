"""How bitstreams are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rdc.specs.base import Spec, added


@dataclass(frozen=True, kw_only=True)
class CodecSpec(Spec):
    """Choices of `rdc.codec.Codec` that change its bytes.

    Attributes:
      coder: the entropy coder, see `rdc.entropy_coders.coders`.
      arithmetic: of the entropy networks, see `rdc.codec.numerics`. Studies code
        and decode on one device, whose `native` arithmetic their decode times are
        about.
    """

    coder: Literal["range", "tfc"] = added("range")
    arithmetic: Literal["native", "exact"] = added("native")
