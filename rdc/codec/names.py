"""Which codec wrote a stream. No JAX here."""

from __future__ import annotations

from rdc.codec.container import CODER_IDS, Header
from rdc.codec.model_folders import shipped_name


def codec_of(header: Header) -> str | None:
    """Name of the codec that comes with this program and wrote a stream; None where
    none of them did.
    """
    identity = header.model_id.hex()
    if header.coder_id != CODER_IDS["rans64"]:
        return shipped_name(identity)
    from rdc.overfitted.identity import name_of

    return name_of(identity)
