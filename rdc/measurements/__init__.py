"""What is measured of a codec: rate, distortion, time.

What needs JAX is imported when it is used: rows and names of metrics are read by
planners and analysis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rdc.measurements.decode_time import time_components, time_decoder
    from rdc.measurements.evaluation import evaluate

__all__ = ["evaluate", "time_components", "time_decoder"]


def __getattr__(name: str) -> Any:
    if name == "evaluate":
        from rdc.measurements.evaluation import evaluate

        return evaluate
    if name in ("time_components", "time_decoder"):
        from rdc.measurements import decode_time

        return getattr(decode_time, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
