"""What storage must do, again and again where it fails for a moment."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from rdc.errors import DiskFullError, StorageError
from sweeps.lease import LeaseLostError

# Between tries; then the sweep pauses.
PATIENCE_SECONDS = (0.2, 1.0, 3.0, 6.0, 10.0)
T = TypeVar("T")
_log = logging.getLogger(__name__)


def patiently(action: Callable[[], T]) -> T:
    """Does what reads or writes.

    Raises:
      StorageError: storage does not come back, or it is full.
    """
    for pause in (*PATIENCE_SECONDS, None):
        try:
            return action()
        except (DiskFullError, LeaseLostError):
            raise
        except OSError as error:
            if pause is None:
                raise StorageError(
                    "storage reads and writes",
                    error.strerror or error,
                    "mend it and run the same command again; finished work is kept",
                ) from error
            _log.warning("storage fails, trying again: %s", error)
            time.sleep(pause)
    raise AssertionError("unreachable")
