"""The error of every damaged or foreign stream."""

from rdc.errors import RdcError


class BitstreamError(RdcError, ValueError):
    """A stream that is damaged, foreign, or made for another model."""
