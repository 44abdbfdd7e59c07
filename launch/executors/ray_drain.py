"""Nodes of a Ray cluster that are about to go.

An autoscaler, a spot notice, or a SIGTERM to `ray start --block` has Ray drain a node:
it gets no new tasks, and those at work there are left alone until it dies.
"""

from __future__ import annotations

import time

LOOK_SECONDS = 1.0
GRACE_SECONDS = 30.0  # where nobody said when the node dies
LEAST_SECONDS = 5.0  # the deadline is by the clock of another machine


def draining_nodes() -> dict[str, int]:
    """Id of each such node -> when it dies, in ms since 1970; 0: nobody said."""
    from ray._private.state import state  # late, as `ray_session` asks

    return state.get_draining_nodes()


class OwnNode:
    """The node that a Ray task runs on.

    Attributes:
      id: hex digits, as Ray lists it.
    """

    def __init__(self) -> None:
        import ray

        self.id: str = ray.get_runtime_context().get_node_id()
        self._looks_at = 0.0

    def seconds_left(self) -> float | None:
        """Until the node dies; None while it stays. Looks once a second."""
        if time.monotonic() < self._looks_at:
            return None
        self._looks_at = time.monotonic() + LOOK_SECONDS
        deadline_ms = draining_nodes().get(self.id)
        if deadline_ms is None:
            return None
        if deadline_ms == 0:
            return GRACE_SECONDS
        return max(deadline_ms / 1000 - time.time(), LEAST_SECONDS)
