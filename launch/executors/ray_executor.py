"""Attempts on Ray: one light task each, which starts and watches the subprocess."""

from __future__ import annotations

import contextlib
import signal
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from launch.executors.child import Child, ChildSettings
from launch.executors.hardware import describe_hardware
from launch.executors.ray_autoscaler import Autoscaler
from launch.executors.ray_drain import OwnNode, draining_nodes
from launch.executors.ray_gang import Gang, Group, take_seat
from launch.executors.ray_placement import machine_of, task_options
from launch.executors.ray_session import RaySession
from launch.executors.ray_slices import chosen_slice
from launch.executors.ray_words import Words
from rdc.errors import ExitCode
from rdc.jobs.layout import LOG_FILE
from sweeps.capacity import Capacity, Resources, refuse_what_never_fits
from sweeps.executor import Attempt, AttemptEnd

STOP_POLL_SECONDS = 0.25
POLL_SECONDS = 0.02
CAPACITY_SECONDS = 1.0
PLACING_SECONDS = 20.0  # from a node's promise of a core to a worker's first word


def watch(
    attempt: Attempt, settings: ChildSettings, words: Words, rank: int = 0
) -> AttemptEnd:
    """Runs one attempt, or its process of this rank, inside a Ray task."""
    node = OwnNode()
    words.taken(attempt, rank, node.id)
    seat = None
    if attempt.resources.hosts > 1:
        seat = take_seat(attempt, rank, words, lambda: words.stop_asked() is not None)
        if seat is None:
            return AttemptEnd(attempt, -signal.SIGTERM, 0.0, node=node.id)
    # Ray hides no GPU from a task that asked for none.
    hidden = {} if attempt.resources.gpus else {"CUDA_VISIBLE_DEVICES": ""}
    try:
        child = Child(attempt, settings, seat=seat, variables=hidden)
    except OSError as error:  # it does not see OUT, or its scratch is full
        fault = f"it cannot write {attempt.folder}: {error}"
        return AttemptEnd(attempt, ExitCode.NODE_FAULT, 0.0, node=node.id, fault=fault)
    asked, looks_at = False, 0.0
    try:
        while (end := child.poll()) is None:
            if not asked and time.monotonic() >= looks_at:
                looks_at = time.monotonic() + STOP_POLL_SECONDS
                grace_seconds = words.stop_asked()
                if grace_seconds is None:
                    grace_seconds = node.seconds_left()
                if grace_seconds is not None:
                    asked = True
                    child.stop(grace_seconds)
            time.sleep(POLL_SECONDS)
    except BaseException:  # cancelled
        child.close()
        raise
    return replace(end, node=node.id)


@dataclass(frozen=True)
class _Started:
    """A task at work on an attempt, or on one process of a gang."""

    attempt: Attempt
    began: float
    rank: int = 0
    gang: Gang | None = None


class RayExecutor:
    """Starts attempts on a Ray of its own on this machine, or on an existing cluster.

    Ray starts with the first attempt, so that a finished sweep never waits for it.

    Args:
      address: of the head node, as `host:port` or `auto`; None starts a private Ray.
      num_cpus: what a private Ray may use; None is all.
      autoscales: the cluster adds nodes where they are asked for.
    """

    def __init__(
        self,
        settings: ChildSettings,
        address: str | None = None,
        num_cpus: int | None = None,
        autoscales: bool = False,
    ):
        # Nodes of a cluster have the code of their own: a copy here is not there.
        own = settings if address is None else replace(settings, code=None)
        self._settings, self._address, self._num_cpus = own, address, num_cpus
        self._running: dict[Any, _Started] = {}
        self._avoided: list[str] = []
        self._names: dict[str, str] = {}  # of nodes, for people
        self._capacity: tuple[float, Capacity] | None = None
        self._dead: set[str] | None = None  # nodes; None: nobody has looked
        self._died: set[str] = set()  # of those, in this driver's life
        self._looked = 0.0  # for those
        self._noticed: float | None = None  # the last one that died
        self._again: set[Any] = set()  # cancelled, to be submitted again
        self._open: RaySession | None = None
        self._words = Words(uuid.uuid4().hex)
        self._autoscaler = Autoscaler() if autoscales else None

    @property
    def _session(self) -> RaySession:
        if self._open is None:
            self._open = RaySession(self._address, self._num_cpus)
        return self._open

    @cached_property
    def _watch(self) -> Any:
        """One function for the whole sweep: Ray exports each to all workers."""
        return self._session.ray.remote(max_retries=0)(watch)

    def describe_hardware(
        self,
        gpus: float | None = None,
        device: str | None = None,
        custom: Mapping[str, float] | None = None,
    ) -> dict[str, Any]:
        """The hardware that timings meet, as `rdc.system.hardware.describe` tells.

        Args:
          gpus: that these jobs ask for; a cluster describes a node that has them. None:
            one where there are any.
          device, custom: as `Resources`.

        Raises:
          ConfigError: no node has as many, or is of that kind.
        """
        if self._address is None and device is None:
            return describe_hardware(self._settings)
        capacity = self.capacity()
        kind = Resources(device=device, custom=tuple((custom or {}).items()))
        if gpus is None:
            to_come = capacity.grows and "=" not in (device or "=")
            fitting = [m.gpus for m in capacity.fitting(kind)]
            most = max(fitting, default=float(to_come))
            on_cpu = self._settings.environment.get("JAX_PLATFORMS") == "cpu"
            gpus = 0.0 if on_cpu else min(most, 1.0)
        wanted = replace(kind, gpus=gpus)
        refuse_what_never_fits(capacity, {wanted: "hardware.benchmark"})
        task = self._session.ray.remote(max_retries=0)(describe_hardware)
        task = task.options(**task_options(capacity, wanted))
        return self._session.ray.get(task.remote(self._settings))

    def capacity(self) -> Capacity:
        now = time.monotonic()
        if self._capacity is None or now - self._capacity[0] > CAPACITY_SECONDS:
            machines = tuple(map(machine_of, self._nodes()))
            grows = self._autoscaler is not None
            self._capacity = now, Capacity(machines, grows)
        return self._capacity[1]

    def _nodes(self) -> list[dict[str, Any]]:
        """Those that live and may be given work."""
        nodes, going = self._session.ray.nodes(), draining_nodes()
        found = [n for n in nodes if n["Alive"] and n["NodeID"] not in self._avoided]
        # Where all go, others take their place: jobs wait for those.
        return [n for n in found if n["NodeID"] not in going] or found

    def places(self, wanted: Resources) -> int:
        return self.capacity().places(wanted)

    def avoid(self, node: str) -> str:
        self._avoided.append(node)
        self._capacity = None
        return self._name_of(node)

    def _name_of(self, node: str) -> str:
        """Of a node by its id, for people."""
        if node not in self._names:
            for found in self._session.ray.nodes():
                own = found["NodeID"]
                self._names[own] = f"{found['NodeManagerHostname']} (node {own[:8]})"
        return self._names.get(node, f"node {node[:8]}")

    def node_of(self, attempt: Attempt) -> str:
        node = None if self._address is None else self._words.node_of(attempt, 0)
        return "" if node is None else self._name_of(node)

    def _options(self, attempt: Attempt) -> dict[str, Any]:
        """What its task is started with."""
        # Without the dead, Ray waits for what it asked of them for equal tasks.
        but = {*self._avoided, *self._died}
        if attempt.elsewhere and self.places(attempt.resources) > 1:
            but.add(attempt.elsewhere)
        return task_options(self.capacity(), attempt.resources, but)

    def _at_work(self) -> list[Resources]:
        """What each attempt takes."""
        attempts = {one.attempt.job_id: one.attempt for one in self._running.values()}
        return [attempt.resources for attempt in attempts.values()]

    def has_room(self, wanted: Resources) -> bool:
        return self.capacity().has_room(wanted, self._at_work())

    def foresee(self, waiting: Iterable[Resources]) -> None:
        if self._autoscaler is not None:
            self._autoscaler.ask(self.capacity(), self._at_work(), waiting)

    def start(self, attempt: Attempt) -> None:
        if attempt.resources.hosts > 1:
            self._start_gang(attempt)
            return
        task = self._watch.options(**self._options(attempt))
        reference = task.remote(attempt, self._settings, self._words)
        self._running[reference] = _Started(attempt, time.monotonic())

    def _start_gang(self, attempt: Attempt) -> None:
        kind, slice_name = attempt.resources.tpu_slice, None
        if kind is not None:
            gangs = (one.gang for one in self._running.values() if one.gang is not None)
            held = {gang.group.slice_name for gang in gangs}
            slice_name = chosen_slice(kind, self._nodes(), held)
        hosts = attempt.resources.hosts
        gang = Gang(attempt, Group(hosts, self._options(attempt), slice_name))
        for rank in range(hosts):
            task = self._watch.options(**gang.group.options(rank))
            reference = task.remote(attempt, self._settings, self._words, rank)
            gang.left[rank] = reference
            self._running[reference] = _Started(attempt, time.monotonic(), rank, gang)

    def wait(self, seconds: float) -> list[AttemptEnd]:
        if not self._running:
            time.sleep(seconds)
            return []
        ray = self._session.ray
        ready, _ = ray.wait(list(self._running), num_returns=1, timeout=seconds)
        if ready:  # and whatever else is ready by now
            references = list(self._running)
            ready, _ = ray.wait(references, num_returns=len(references), timeout=0)
        ends = [end for end in map(self._end, ready) if end is not None]
        return ends + self._lost_with_nodes()

    def _lost_with_nodes(self) -> list[AttemptEnd]:
        """Ends of attempts on nodes that Ray holds for dead.

        Ray tells of them, too, but only when the connection breaks: after minutes
        where a node is without power or cut off. What it was about to place there
        hangs as long, so that it is submitted again.
        """
        now = time.monotonic()
        if now - self._looked < CAPACITY_SECONDS:
            return []
        self._looked = now
        nodes = self._session.ray.nodes()
        dead = {node["NodeID"] for node in nodes if not node["Alive"]}
        died = set() if self._dead is None else dead - self._dead
        self._dead = dead
        lost = []
        if died:
            self._died |= died
            self._noticed, self._capacity = now, None
            for reference, one in list(self._running.items()):
                if self._words.node_of(one.attempt, one.rank) in died:
                    del self._running[reference]
                    end = AttemptEnd(one.attempt, None, now - one.began)
                    lost.append(self._with_its_gang(one, end))
        if self._noticed is not None and now - self._noticed > PLACING_SECONDS:
            for reference, one in self._running.items():
                # Room that a gang waits for is Ray's to find again.
                waits = one.gang is None and self._words.node_of(one.attempt, 0) is None
                if one.began < self._noticed and waits:
                    self._again.add(reference)
                    self._session.ray.cancel(reference)
            self._noticed = None
        return [end for end in lost if end is not None]

    def _with_its_gang(
        self, one: _Started, end: AttemptEnd | None
    ) -> AttemptEnd | None:
        """The end of the attempt; None while others of its gang are at work."""
        gang = one.gang
        if gang is None:
            return end
        for reference in gang.note(one.rank, end):
            self._session.ray.cancel(reference)
        if gang.left:
            return None
        gang.group.give_back()
        return gang.end()

    def _end(self, reference: Any) -> AttemptEnd | None:
        """How an attempt ended; None: it goes on, or is submitted again."""
        one = self._running.pop(reference)
        return self._with_its_gang(one, self._end_of_task(one, reference))

    def _end_of_task(self, one: _Started, reference: Any) -> AttemptEnd | None:
        """None: it is submitted again."""
        from ray.exceptions import (
            OutOfMemoryError,
            RayError,
            RayTaskError,
            TaskCancelledError,
        )

        attempt, seconds = one.attempt, time.monotonic() - one.began
        again = reference in self._again
        self._again.discard(reference)
        try:
            return self._session.ray.get(reference)
        except TaskCancelledError:
            if again and self._words.node_of(attempt, one.rank) is None:
                self.start(attempt)
                return None
            if one.gang is not None and one.gang.is_ending:
                return None
            return AttemptEnd(attempt, -signal.SIGTERM, seconds)
        except RayTaskError as error:  # a defect of this file or of the installation
            text = str(error).encode()
            if attempt.parcels:
                brought = tuple({LOG_FILE: text} for _ in attempt.folders)
                return AttemptEnd(attempt, ExitCode.CRASHED, seconds, brought=brought)
            with open(attempt.folder / LOG_FILE, "ab") as log:
                log.write(text)
            return AttemptEnd(attempt, ExitCode.CRASHED, seconds)
        except OutOfMemoryError:  # Ray's watch over the memory of the node ended it
            return AttemptEnd(attempt, None, seconds, out_of_memory=True)
        except RayError:  # the worker or its node is gone
            return AttemptEnd(attempt, None, seconds)

    def stop(self, grace_seconds: float) -> None:
        if self._autoscaler is not None:
            self._autoscaler.ask_for_nothing()
        if not self._running:
            return
        self._words.ask_to_stop(grace_seconds)
        for reference, one in self._running.items():
            if self._words.node_of(one.attempt, one.rank) is None:  # perhaps never
                self._again.discard(reference)
                self._session.ray.cancel(reference)

    def close(self) -> None:
        self._running.clear()
        if self._autoscaler is not None:
            self._autoscaler.ask_for_nothing()
        if self._open is not None:
            with contextlib.suppress(Exception):  # the head node may be gone
                self._words.forget()
            self._open.close()
            self._open = None
