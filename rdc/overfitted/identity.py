"""Which stream belongs to which named codec. No JAX here."""

from __future__ import annotations

import hashlib
from functools import cache

from rdc.identity import content_id
from rdc.overfitted.parameters import start
from rdc.overfitted.spec import PRESETS, OverfittedSpec
from rdc.overfitted.tables import frozen_tables


@cache
def codec_id(spec: OverfittedSpec) -> str:
    """16 hex digits of what a decoder must share: sizes, tables, the networks' start.

    Not of lambdas, nor of weights, which are in the file.
    """
    sizes = spec.identity()
    del sizes["lmbdas"]
    digest = hashlib.sha256()
    for name, value in start(spec).items():
        digest.update(name.encode() + value.astype("<f4").tobytes())
    shared = {"tables": frozen_tables().sha256, "start": digest.hexdigest()}
    return content_id("overfitted", {**sizes, **shared})


def name_of(identity: str) -> str | None:
    """The named codec with this identity; None without one."""
    return next((n for n, spec in PRESETS.items() if codec_id(spec) == identity), None)
