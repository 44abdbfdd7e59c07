"""What a training on several hosts asks for, and what its processes end as."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from launch.config.hardware import TrainHardware
from launch.config.slices import slice_shape
from launch.executors.child import ChildSettings
from launch.executors.ray_gang import Gang
from rdc.errors import ConfigError, ExitCode
from rdc.system.gang import SEAT_VARIABLE, Seat
from sweeps.capacity import Resources
from sweeps.executor import Attempt, AttemptEnd

ATTEMPT = Attempt("a", 1, Path("1"), Resources(hosts=2))


@pytest.mark.parametrize(
    ("kind", "hosts", "chips"),
    [
        ("v4-8", 1, 4),
        ("v4-16", 2, 4),
        ("v5p-128", 16, 4),
        ("v5litepod-8", 1, 8),
        ("v5litepod-16", 4, 4),
        ("v6e-4", 1, 4),
        ("v6e-256", 64, 4),
    ],
)
def test_hosts_and_chips_follow_from_the_kind_of_a_slice(
    kind: str, hosts: int, chips: int
) -> None:
    wanted = TrainHardware(slice=kind).settings(1.0).resources
    assert (wanted.hosts, dict(wanted.custom)) == (hosts, {"TPU": chips})
    assert (wanted.device, wanted.gpus) == (f"ray.io/tpu-pod-type={kind}", 0.0)


@pytest.mark.parametrize("kind", ["v4-15", "v4-20", "v4", "H100", "v6e-0", "v6e-18"])
def test_no_other_kind_is_a_slice(kind: str) -> None:
    with pytest.raises(ConfigError, match=f"a slice is .* got '{kind}'"):
        slice_shape(kind)


def test_a_process_hears_of_its_own_gang_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith("TPU_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TPU_WORKER_ID", "3")
    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "w0,w1,w2,w3")
    monkeypatch.setenv("MEGASCALE_NUM_SLICES", "2")
    monkeypatch.setenv("TPU_VISIBLE_CHIPS", "0,1")
    monkeypatch.setenv(SEAT_VARIABLE, "1 a:1,b:2")

    def heard(seat: Seat | None) -> dict[str, str]:
        variables = ChildSettings().variables(seat=seat)
        ours = ("TPU_", "MEGASCALE_", SEAT_VARIABLE)
        return {k: v for k, v in variables.items() if k.startswith(ours)}

    assert heard(None) == {"TPU_VISIBLE_CHIPS": "0,1"}
    seat = Seat(1, ("10.0.0.1:80", "10.0.0.2:81"))
    assert heard(seat) == {
        "TPU_VISIBLE_CHIPS": "0,1",
        "TPU_WORKER_ID": "1",
        "TPU_WORKER_HOSTNAMES": "10.0.0.1,10.0.0.2",
        SEAT_VARIABLE: "1 10.0.0.1:80,10.0.0.2:81",
    }
    monkeypatch.setenv(SEAT_VARIABLE, heard(seat)[SEAT_VARIABLE])
    assert Seat.taken() == seat


class NoGroup:
    """Room that nobody holds."""

    slice_name = None


def ended(*ends: dict[str, Any] | None) -> tuple[list[list[str]], AttemptEnd]:
    """Who was cancelled at each of the ends, in this order, and the end of all."""
    gang = Gang(ATTEMPT, NoGroup(), dict(enumerate("xy")))  # type: ignore[arg-type]
    cancelled = []
    for end in ends:
        rank = None if end is None else end.pop("rank")
        (left,) = gang.left if rank is None else (rank,)
        own = None if end is None else AttemptEnd(ATTEMPT, seconds=1.0, **end)
        cancelled.append(gang.note(left, own))
    assert not gang.left
    return cancelled, gang.end()


CAUSES: dict[str, tuple[dict[str, Any], dict[str, Any], int | None]] = {
    "well": ({"exit_code": 0}, {"exit_code": 0}, 0),
    "a crash, and JAX's abort": (
        {"exit_code": ExitCode.CRASHED},
        {"exit_code": -signal.SIGABRT},
        ExitCode.CRASHED,
    ),
    "killed, and the other saw it": (
        {"exit_code": ExitCode.PEER_LOST},
        {"exit_code": -signal.SIGKILL},
        -signal.SIGKILL,
    ),
    "out of memory, and the other saw it": (
        {"exit_code": ExitCode.PEER_LOST},
        {"exit_code": ExitCode.OUT_OF_MEMORY},
        ExitCode.OUT_OF_MEMORY,
    ),
    "a node lost": ({"exit_code": ExitCode.PEER_LOST}, {"exit_code": None}, None),
    "both stopped": (
        {"exit_code": ExitCode.PREEMPTED},
        {"exit_code": ExitCode.PREEMPTED},
        ExitCode.PREEMPTED,
    ),
    "stood still": (
        {"exit_code": -signal.SIGKILL, "stalled": True},
        {"exit_code": ExitCode.PEER_LOST},
        -signal.SIGKILL,
    ),
}


@pytest.mark.parametrize(("first", "second", "code"), CAUSES.values(), ids=CAUSES)
@pytest.mark.parametrize("swapped", [False, True])
def test_a_gang_ends_as_the_process_that_began_it(
    first: dict, second: dict, code: int | None, swapped: bool
) -> None:
    ends = [{**first, "rank": 0}, {**second, "rank": 1}]
    _, end = ended(*(reversed(ends) if swapped else ends))
    assert (end.exit_code, end.stalled) == (code, first.get("stalled", False))


def test_what_all_come_to_is_waited_for_and_anything_else_ends_the_others() -> None:
    stopped = {"rank": 1, "exit_code": ExitCode.PREEMPTED}
    assert ended(stopped, {"rank": 0, "exit_code": 0})[0] == [[], []]
    cancelled, end = ended({"rank": 1, "exit_code": -signal.SIGKILL}, None)
    assert cancelled == [["x"], []]
    assert end.exit_code == -signal.SIGKILL
