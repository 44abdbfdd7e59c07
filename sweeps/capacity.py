"""What jobs ask for, what machines have, and whether the one fits the other."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rdc.errors import ConfigError
from rdc.specs.base import Spec, require

_ROUNDING = 1e-6  # thirds of a GPU add up to one
_NAME = r"[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?"
_DEVICE = rf"((([a-zA-Z0-9.-]+/)?{_NAME})=)?{_NAME}"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Resources(Spec):
    """What one process uses; of one on several hosts, on each of them.

    Attributes:
      cpus: cores; None takes a whole machine.
      gpus: accelerators: a share of one, or a whole number.
      memory_gb: host memory, in 10^9 bytes; None: not asked for.
      device: of the machine: a kind of accelerator, as `H100`, or any of its labels, as
        `key=value`; None: any machine.
      custom: other resources that machines have by name, and how much of each.
      exclusive: no other process of any sweep works on the machine meanwhile, so that
        nothing disturbs timing.
      memory_factor: takes so many times the memory, because it ran out before.
      hosts: machines with a process each, which begin and end together.
      tpu_slice: they are the hosts of one such TPU slice, as `v4-16`; None: any.
    """

    cpus: int | None = 1
    gpus: float = 0.0
    memory_gb: float | None = None
    device: str | None = None
    custom: tuple[tuple[str, float], ...] = ()
    exclusive: bool = False
    memory_factor: int = 1
    hosts: int = 1
    tpu_slice: str | None = None

    def __post_init__(self) -> None:
        require(self.hosts >= 1, "hosts is at least 1", self.hosts)
        require(
            self.hosts == 1 or self.gpus == int(self.gpus),
            "a process on several hosts has GPUs of its own: gpus is a whole number",
            self.gpus,
        )
        require(self.cpus is None or self.cpus >= 1, "cpus is at least 1", self.cpus)
        require(
            0 <= self.gpus <= 1 or self.gpus == int(self.gpus) > 1,
            "gpus is a share of one, from 0 to 1, or a whole number",
            self.gpus,
        )
        memory = self.memory_gb
        require(memory is None or memory > 0, "memory_gb is positive", memory)
        require(
            self.device is None or re.fullmatch(_DEVICE, self.device) is not None,
            "device is a kind of accelerator, as H100, or a label, as key=value",
            repr(self.device),
        )
        for name, amount in self.custom:
            known = name.casefold() in ("cpu", "gpu", "memory", "object_store_memory")
            require(bool(name) and not known, "custom has names of its own", repr(name))
            require(amount > 0, f"custom.{name} is positive", amount)

    @property
    def devices(self) -> float:
        """Devices whose time it takes: the GPUs or TPUs that it asks for, else one."""
        return self.gpus + dict(self.custom).get("TPU", 0.0) or 1.0


@dataclass(frozen=True)
class Machine:
    """What one machine has.

    Attributes:
      memory_gb: of the host, in 10^9 bytes.
      device: kind of its accelerators; None: it has none, or nobody knows.
      labels: values by key.
      custom: amounts of other resources by name.
    """

    cpus: int
    gpus: float = 0.0
    memory_gb: float = 0.0
    device: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    custom: Mapping[str, float] = field(default_factory=dict)

    def is_kind(self, device: str | None) -> bool:
        """Whether it is what `Resources.device` names."""
        if device is None:
            return True
        key, is_label, value = device.partition("=")
        return self.labels.get(key) == value if is_label else self.device == device

    def holds(self, wanted: Resources) -> bool:
        """Whether it has all that a process asks for, on as many cores as it has."""
        return (
            self.cpus > 0
            and self.is_kind(wanted.device)
            and self.gpus + _ROUNDING >= wanted.gpus
            and self.memory_gb + _ROUNDING >= (wanted.memory_gb or 0.0)
            and all(self.custom.get(k, 0.0) + _ROUNDING >= v for k, v in wanted.custom)
        )

    def amounts(self) -> dict[str, float]:
        """All that processes divide, by name."""
        own = {"cpus": self.cpus, "gpus": self.gpus, "memory_gb": self.memory_gb}
        return {**own, **{f"custom.{name}": v for name, v in self.custom.items()}}


@dataclass(frozen=True)
class Capacity:
    """What an executor has now.

    Attributes:
      grows: machines are added where jobs want others than there are.
    """

    machines: tuple[Machine, ...]
    grows: bool = False

    @property
    def gpus(self) -> float:
        return sum(machine.gpus for machine in self.machines)

    def fitting(self, wanted: Resources) -> list[Machine]:
        """Those that can hold such a process, busy or not."""
        return [machine for machine in self.machines if machine.holds(wanted)]

    def cpus_of(self, wanted: Resources) -> int:
        """Cores that a process takes: at most those of the largest machine that has
        what it asks for, and all of that one where it wants a whole machine."""
        fitting = self.fitting(wanted) or self.machines
        most = int(_least_of_the_largest(wanted.hosts, (m.cpus for m in fitting))) or 1
        return min(wanted.cpus or most, most)

    def places(self, wanted: Resources) -> int:
        """How many can hold such a process, busy or not; of one on several hosts, for
        how many of those there are enough."""
        cpus = self.cpus_of(wanted)
        fitting = sum(machine.cpus >= cpus for machine in self.fitting(wanted))
        return fitting // wanted.hosts

    def slots(self, wanted: Resources) -> int:
        """How many such processes run side by side, where nothing else does."""
        needed = self._amounts_of(wanted)
        return sum(_times(needed, m.amounts()) for m in self.fitting(wanted))

    def memory_gb_of(self, wanted: Resources) -> float | None:
        """Host memory that a process takes; None: none that is counted.

        After it ran out, that is a multiple of what was asked for, or of what its cores
        and GPUs are of the memory of a machine; at most all of the largest.
        """
        cpus = self.cpus_of(wanted)
        fitting = [m for m in self.fitting(wanted) if m.cpus >= cpus]
        if wanted.memory_factor == 1 or not fitting:
            return wanted.memory_gb
        slot = max(
            m.memory_gb * max(cpus / m.cpus, wanted.gpus and wanted.gpus / m.gpus)
            for m in fitting
        )
        most = _least_of_the_largest(wanted.hosts, (m.memory_gb for m in fitting))
        return min((wanted.memory_gb or slot) * wanted.memory_factor, most)

    def _amounts_of(self, wanted: Resources) -> dict[str, float]:
        own = {
            "cpus": float(self.cpus_of(wanted)),
            "gpus": wanted.gpus,
            "memory_gb": self.memory_gb_of(wanted) or 0.0,
            **{f"custom.{name}": amount for name, amount in wanted.custom},
        }
        return {name: amount for name, amount in own.items() if amount}

    def lacks(self, wanted: Resources, setting: str) -> ConfigError | None:
        """Why no machine holds such a process; None where one does.

        Args:
          setting: where it is asked for, as `hardware.train`.
        """
        fitting = len(self.fitting(wanted))
        if fitting >= wanted.hosts:
            return None
        if fitting:
            return ConfigError(
                f"a training on several hosts finds as many machines: {setting}.hosts "
                f"is at most {fitting} here",
                wanted.hosts,
                "lower it, or add such machines",
            )
        device = wanted.device
        of_kind = [m for m in self.machines if m.is_kind(device)]
        if device is not None and not of_kind:
            return ConfigError(
                f"{setting}.device is a kind of machine that is here",
                f"{device}, and {self._kinds(device)}",
                "choose one of these, add such a machine, or set "
                "cluster.autoscales=true where the cluster adds it",
            )
        have = [machine.amounts() for machine in of_kind]
        asked = self._amounts_of(wanted)
        for name, amount in asked.items():
            most = max((amounts.get(name, 0.0) for amounts in have), default=0.0)
            if name != "cpus" and amount > most + _ROUNDING:
                kind = "" if device is None else f" with {device}"
                return ConfigError(
                    f"a job finds all it asks for on one machine: {setting}.{name} is "
                    f"at most {most:g} here{kind}",
                    f"{amount:g}",
                    "lower it, "
                    + ("choose hardware=cpu, " if name == "gpus" else "")
                    + "or add such a machine",
                )
        return ConfigError(
            f"one machine has all that {setting} asks for",
            _listed(asked),
            f"here are {'; '.join(sorted(set(map(_listed, have)))[:5]) or 'none'}",
        )

    def _kinds(self, device: str) -> str:
        """What machines have instead."""
        key, is_label, _ = device.partition("=")
        if not is_label:
            kinds = {m.device for m in self.machines if m.device is not None}
            return f"machines have {', '.join(sorted(kinds)) or 'no known kind'}"
        values = {m.labels[key] for m in self.machines if key in m.labels}
        if values:
            return f"the values of {key} are {', '.join(sorted(values))}"
        keys = {label for m in self.machines for label in m.labels}
        return f"the labels of machines are {', '.join(sorted(keys)) or 'none'}"

    def has_room(self, wanted: Resources, running: Iterable[Resources]) -> bool:
        """Whether `wanted` fits beside what runs.

        Nobody tells which machine has which process: those that fit the fewest are
        counted first, each on the plainest machine that has room.
        """
        machines = sorted(
            self.machines, key=lambda m: (m.gpus, len(m.custom), m.device or "")
        )
        free = [(machine, machine.amounts()) for machine in machines]
        counts = Counter(running)
        for other in sorted(counts, key=lambda other: len(self.fitting(other))):
            taken, left = self._amounts_of(other), counts[other] * other.hosts
            for machine, amounts in free:
                if left and machine.holds(other):
                    # No machine has two hosts of one process.
                    number = min(left, counts[other], _times(taken, amounts))
                    for name, amount in taken.items():
                        amounts[name] -= number * amount
                    left -= number
        needed = self._amounts_of(wanted)
        with_room = sum(
            machine.holds(wanted) and _times(needed, amounts) > 0
            for machine, amounts in free
        )
        return with_room >= wanted.hosts


def refuse_what_never_fits(capacity: Capacity, asked: Mapping[Resources, str]) -> None:
    """Looks whether there is a machine for all that is asked for.

    Args:
      asked: by the setting that asks for it.

    Raises:
      ConfigError: no machine holds such a process, and none will be added.
    """
    for wanted, setting in asked.items():
        lacking = capacity.lacks(wanted, setting)
        if lacking is None:
            continue
        if not capacity.grows:
            raise lacking
        _log.warning("jobs wait for a machine that the cluster adds: %s", lacking)


def _least_of_the_largest(number: int, values: Iterable[float]) -> float:
    """What each of so many machines has, if they are the largest."""
    largest = sorted(values, reverse=True)[:number]
    return largest[-1] if largest else 0


def _listed(amounts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {amount:g}" for name, amount in amounts.items() if amount)


def _times(needed: Mapping[str, float], free: Mapping[str, float]) -> int:
    """How often so much is there."""
    return min(
        int((free.get(name, 0.0) + _ROUNDING) / amount)
        for name, amount in needed.items()
    )
