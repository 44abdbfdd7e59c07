"""Searches of minutes go on where an interrupted command left them."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rdc.system.user_cache import user_cache_folder

if TYPE_CHECKING:
    import numpy as np

    from rdc.codec import Codec

LOGGERS = ("rdc.codec.refinement", "rdc.overfitted.optimisation")


def show_progress() -> None:
    """Searches write how far they are to the standard error."""
    logging.basicConfig(format="rdc: %(message)s")
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.INFO)


@contextmanager
def resumable(codec: Codec, x: np.ndarray, rate: float, effort: int) -> Iterator[Codec]:
    """`codec`, whose search of `x` stays in the user's cache until it ends."""
    from rdc.codec.overfitted import OverfittedCodec
    from rdc.overfitted.saved_search import SavedSearch

    if not isinstance(codec, OverfittedCodec):
        yield codec
        return

    search = f"{codec.codec_id} {x.shape} {rate} {effort} ".encode() + x.tobytes()
    folder = user_cache_folder() / "searches" / hashlib.sha256(search).hexdigest()[:16]
    yield codec.with_search(SavedSearch(folder, every_seconds=15.0))
    shutil.rmtree(folder, ignore_errors=True)
