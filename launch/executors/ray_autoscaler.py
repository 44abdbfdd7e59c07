"""Nodes asked of a cluster's autoscaler ahead of the jobs that need them."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Iterable

from launch.executors.ray_placement import bundle_of, labels_of, task_options
from sweeps.capacity import Capacity, Resources

AHEAD = 128  # processes of each kind beyond those that run
EVERY_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Autoscaler:
    """Keeps asking for room for all that runs and the next of what waits.

    Ray keeps the last request until another takes its place: `ask_for_nothing` ends it.
    """

    def __init__(self) -> None:
        self._asked: Counter[Resources] = Counter()
        self._asks_at = 0.0
        self._warned = False

    def ask(
        self,
        capacity: Capacity,
        running: Iterable[Resources],
        waiting: Iterable[Resources],
    ) -> None:
        """Asks, where that changed and the last time is a while ago."""
        now = time.monotonic()
        if now < self._asks_at:
            return
        self._asks_at = now + EVERY_SECONDS
        wanted = Counter(waiting)
        for shape in wanted:
            wanted[shape] = min(wanted[shape], AHEAD)
        wanted.update(running)
        if wanted != self._asked:
            self._warn_of_labels(wanted)
            self._request(capacity, wanted)
            self._asked = wanted

    def ask_for_nothing(self) -> None:
        """Lets the autoscaler take away what is idle."""
        if self._asked:
            self._request(Capacity(()), Counter())
            self._asked = Counter()

    def _request(self, capacity: Capacity, wanted: Counter[Resources]) -> None:
        from ray.autoscaler.sdk import request_resources

        shapes = [shape for shape in wanted.elements() for _ in range(shape.hosts)]
        # Jobs run without it where there is room, and Ray may fail to answer.
        with contextlib.suppress(Exception):
            request_resources(
                bundles=[bundle_of(task_options(capacity, shape)) for shape in shapes],
                bundle_label_selectors=[labels_of(shape.device) for shape in shapes],
            )

    def _warn_of_labels(self, wanted: Iterable[Resources]) -> None:
        from ray.autoscaler.v2.utils import is_autoscaler_v2

        devices = sorted({w.device for w in wanted if w.device is not None})
        if devices and not self._warned and not is_autoscaler_v2():
            self._warned = True
            _log.warning(
                "the autoscaler of this cluster reads no labels (it is not version 2), "
                "so that it may add machines other than %s",
                ", ".join(devices),
            )
