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

    def _tell(self, value: str, *parts: object) -> None:
        _kv()._internal_kv_put(self._key(*parts), value.encode())

    def _told(self, *parts: object) -> str | None:
        value = _kv()._internal_kv_get(self._key(*parts))
        return None if value is None else value.decode()

    def taken(self, attempt: Attempt, rank: int, node: str) -> None:
        """A node has it, or its process of this rank."""
        self._tell(node, "taken", attempt.job_id, attempt.number, rank)

    def node_of(self, attempt: Attempt, rank: int) -> str | None:
        """The node that has it; None: none yet."""
        return self._told("taken", attempt.job_id, attempt.number, rank)

    def tell_address(self, attempt: Attempt, rank: int, address: str) -> None:
        """Where the process of this rank will listen."""
        self._tell(address, "address", attempt.job_id, attempt.number, rank)

    def addresses(self, attempt: Attempt) -> tuple[str, ...] | None:
        """Of all ranks; None: some have not told."""
        found = tuple(
            address
            for rank in range(attempt.resources.hosts)
            if (address := self._told("address", attempt.job_id, attempt.number, rank))
        )
        return found if len(found) == attempt.resources.hosts else None

    def ask_to_stop(self, grace_seconds: float) -> None:
        """All tasks end their processes, with time to save their state."""
        self._tell(str(grace_seconds), "stop")

    def stop_asked(self) -> float | None:
        """The grace; None: nobody asked."""
        value = self._told("stop")
        return None if value is None else float(value)

    def forget(self) -> None:
        _kv()._internal_kv_del(self._key(), del_by_prefix=True)
