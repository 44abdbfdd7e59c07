"""What integer arithmetic cannot compute."""

from __future__ import annotations

from rdc.errors import RdcError


class InexactPrimitiveError(RdcError):
    """The network holds an operation without an integer counterpart."""
