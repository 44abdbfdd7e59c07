"""One driver per OUT in an object store: `sweeps.lease` with conditional writes.

`driver.json` is replaced with every heartbeat, and only by who read what is replaced.
No clock is compared: a lease is stale when it stays as it is for `STALE_SECONDS`.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

from rdc.system.store import Store
from sweeps.lease import (
    HEARTBEAT_SECONDS,
    LEASE_FILE,
    POLL_SECONDS,
    STALE_SECONDS,
    WAIT_SECONDS,
    Heartbeat,
    HeldByOne,
    heartbeat_of,
    held_by,
    on_this_machine,
    runs_here,
    say_waiting,
)


class StoreLease(HeldByOne):
    """As `sweeps.lease.Lease`, of a store."""

    def __init__(
        self,
        store: Store,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        wait_seconds: float = WAIT_SECONDS,
        stale_seconds: float = STALE_SECONDS,
    ):
        super().__init__(store.url, heartbeat_seconds)
        self._store = store
        self._wait_seconds, self._stale_seconds = wait_seconds, stale_seconds
        self._beats = 0
        self._generation = b""
        self._lock = threading.Lock()  # of the heartbeat and `held`

    def __enter__(self) -> Self:
        began = since = time.monotonic()
        seen = None
        while True:
            found = self._store.read(LEASE_FILE)
            holder = None if found is None else _parsed(found.data)
            now = time.monotonic()
            if found is None or holder is None or _free(holder):
                stale = True
            else:
                if seen is None:
                    say_waiting(holder, self._store.url, self._wait_seconds)
                elif seen != found.generation:  # it beats
                    raise held_by(holder, self._store.url)
                if seen is None:
                    seen, since = found.generation, now
                stale = now - since >= self._stale_seconds
                if on_this_machine(holder) or (
                    not stale and now - began >= self._wait_seconds
                ):
                    raise held_by(holder, self._store.url)
            if stale:
                self.epoch = 1 + (0 if holder is None else holder.get("epoch", 0))
                old = None if found is None else found.generation
                if self._take(old):
                    self._thread.start()
                    return self
                seen = None  # another one was faster
            time.sleep(POLL_SECONDS)

    def _take(self, old: bytes | None) -> bool:
        data = self._data()
        if old is None:
            taken = self._store.create(LEASE_FILE, data)
        else:
            taken = self._store.replace(LEASE_FILE, data, old)
        self._generation = taken or b""
        return taken is not None

    def _data(self, **more: Any) -> bytes:
        self._beats += 1  # no two contents are alike, for generations may be hashes
        own = {**self.holder, "epoch": self.epoch, "beat": self._beats}
        values = {**own, "beat_at": time.time(), **more}
        return json.dumps(values, indent=1).encode()

    def _release(self) -> None:
        if not self._lost:
            self._renew(released=True)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """OUT was ours at the beginning of this.

        What is written meanwhile is conditional itself.

        Raises:
          LeaseLostError: another driver took over.
          StoreError: the store cannot be asked.
        """
        with self._lock:
            found = self._store.read(LEASE_FILE)
            if found is None or found.generation != self._generation:
                self._lost = True
        self.check()
        yield

    def _renew(self, **more: Any) -> None:
        with self._lock:
            renewed = self._store.replace(
                LEASE_FILE, self._data(**more), self._generation
            )
            self._lost = self._lost or renewed is None
            self._generation = renewed or self._generation


def heartbeat_in(store: Store) -> Heartbeat | None:
    """As `sweeps.lease.heartbeat`; clocks of machines must agree on the minute."""
    found = store.read(LEASE_FILE)
    holder = None if found is None else _parsed(found.data)
    if holder is None or holder.get("released"):
        return None
    return heartbeat_of(holder, holder.get("beat_at", 0.0))


def _free(holder: dict[str, Any]) -> bool:
    if holder.get("released"):
        return True
    return on_this_machine(holder) and not runs_here(holder)


def _parsed(data: bytes) -> dict[str, Any] | None:
    """None: nobody can hold what is no lease."""
    try:
        values = json.loads(data)
    except ValueError:
        return None
    return values if isinstance(values, dict) and "token" in values else None
