"""What a sweep's driver and its Ray tasks tell each other, without a shared disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sweeps.executor import Attempt


def _kv() -> Any:
    """The key-value store of Ray's head node; imported late, as `ray_session` asks."""
    from ray.experimental import internal_kv

    return internal_kv


@dataclass(frozen=True)
class Words:
    """Keys in the store of Ray's head node.

    Attributes:
      sweep: of one driver's life.
    """

    sweep: str

    def _key(self, *parts: object) -> bytes:
        return "/".join(["rdc", self.sweep, *map(str, parts)]).encode()

    def taken(self, attempt: Attempt, node: str) -> None:
        """A node has it."""
        key = self._key("taken", attempt.job_id, attempt.number)
        _kv()._internal_kv_put(key, node.encode())

    def node_of(self, attempt: Attempt) -> str | None:
        """The node that has it; None: none yet."""
        key = self._key("taken", attempt.job_id, attempt.number)
        value = _kv()._internal_kv_get(key)
        return None if value is None else value.decode()

    def ask_to_stop(self, grace_seconds: float) -> None:
        """All tasks end their processes, with time to save their state."""
        _kv()._internal_kv_put(self._key("stop"), str(grace_seconds).encode())

    def stop_asked(self) -> float | None:
        """The grace; None: nobody asked."""
        value = _kv()._internal_kv_get(self._key("stop"))
        return None if value is None else float(value)

    def forget(self) -> None:
        _kv()._internal_kv_del(self._key(), del_by_prefix=True)
