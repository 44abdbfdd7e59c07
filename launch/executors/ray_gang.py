"""One attempt as several processes, each on a node of its own: a gang.

Ray places all of them or none (a placement group). They tell each other where they are,
start their processes with that, and end together: one that is lost, or ends as the
others cannot, takes them along. The driver hears of one end.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from launch.executors.ray_placement import bundle_of
from launch.executors.ray_slices import host_labels
from launch.executors.ray_words import Words
from rdc.errors import ExitCode
from rdc.system.gang import ENDS_OF_ALL, Seat
from sweeps.executor import Attempt, AttemptEnd

_POLL_SECONDS = 0.1


class Group:
    """Room for all processes of an attempt, which Ray gives at once or not yet.

    Args:
      options: of a task for one of them (`ray_placement.task_options`).
      slice_name: of the TPU slice whose hosts they get; None: any nodes.
    """

    def __init__(
        self, hosts: int, options: Mapping[str, Any], slice_name: str | None = None
    ):
        from ray.util.placement_group import placement_group

        self.slice_name = slice_name
        self._options = dict(options)
        labels = self._options.pop("label_selector")
        own = [
            {} if slice_name is None else host_labels(slice_name, rank)
            for rank in range(hosts)
        ]
        self._group = placement_group(
            [bundle_of(options) for _ in own],
            strategy="STRICT_SPREAD",
            bundle_label_selector=[{**labels, **of_host} for of_host in own],
        )

    def options(self, rank: int) -> dict[str, Any]:
        """What the task of a rank is started with."""
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        place = PlacementGroupSchedulingStrategy(self._group, rank)
        return {**self._options, "scheduling_strategy": place}

    def give_back(self) -> None:
        """Lets Ray have the room again; tasks that are left in it end."""
        from ray.util.placement_group import remove_placement_group

        remove_placement_group(self._group)


@dataclass
class Gang:
    """What has become of the tasks of an attempt.

    Attributes:
      left: references of those that run or wait, by rank.
      is_ending: the others were cancelled because of one that ended.
    """

    attempt: Attempt
    group: Group
    left: dict[int, Any] = field(default_factory=dict)
    ends: dict[int, AttemptEnd] = field(default_factory=dict)
    is_ending: bool = False

    def note(self, rank: int, end: AttemptEnd | None) -> list[Any]:
        """Takes the end of one; returns the references that are to be cancelled.

        Args:
          end: None where it was cancelled because of another one's.
        """
        del self.left[rank]
        if end is None:
            return []
        self.ends[rank] = end
        if self.is_ending or end.exit_code in ENDS_OF_ALL:
            return []
        self.is_ending = True
        return list(self.left.values())

    def end(self) -> AttemptEnd:
        """Of the attempt, once none is left: that of the process that began it, as far
        as one can tell."""
        cause = min(self.ends.values(), key=_aftermath)
        return replace(cause, attempt=self.attempt)


def _aftermath(end: AttemptEnd) -> int:
    """How likely it is that another process's end came before."""
    code = end.exit_code
    if end.timed_out or end.stalled:
        return 0
    if code is None or code == -signal.SIGKILL:
        return 1
    if code < 0:  # JAX's watch over the others aborts
        return 3
    if code == ExitCode.PEER_LOST:
        return 4
    if code == ExitCode.OK:
        return 5
    return 2 if code in ENDS_OF_ALL else 0


def take_seat(
    attempt: Attempt, rank: int, words: Words, is_over: Callable[[], bool]
) -> Seat | None:
    """The seat of this process, once all tasks of its gang are at work.

    Args:
      is_over: whether nobody waits for them any more; then there is no seat.
    """
    import ray

    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    words.tell_address(attempt, rank, f"{ray.util.get_node_ip_address()}:{port}")
    while (addresses := words.addresses(attempt)) is None:
        if is_over():
            return None
        time.sleep(_POLL_SECONDS)
    return Seat(rank, addresses)
