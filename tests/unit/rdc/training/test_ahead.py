"""Batches made ahead: in order, not too many, and never after the end."""

from __future__ import annotations

import threading
import time

import pytest

from rdc.training.ahead import made_ahead

THREADS = 3


def test_they_come_in_order_and_wait_for_who_takes_them() -> None:
    made: list[int] = []

    def make(number: int) -> int:
        time.sleep(0.02 * (number % 2))  # every second one is overtaken
        made.append(number)
        return 10 * number

    taken = made_ahead(make, range(5, 25), THREADS)
    assert [next(taken), next(taken)] == [50, 60]
    while len(made) < 2 + THREADS:
        time.sleep(0.01)
    time.sleep(0.2)
    assert len(made) == 2 + THREADS
    assert list(taken) == [10 * number for number in range(7, 25)]
    assert sorted(made) == list(range(5, 25))
    assert list(made_ahead(make, range(3, 3), THREADS)) == []


def test_what_fails_fails_where_it_is_taken() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise ValueError("a photograph is gone")
        return number

    taken = made_ahead(make, range(9), THREADS)
    assert [next(taken), next(taken)] == [0, 1]
    with pytest.raises(ValueError, match="photograph is gone"):
        next(taken)
    assert list(taken) == []


def test_who_stops_early_leaves_no_thread_behind() -> None:
    def ours() -> list[threading.Thread]:
        return [t for t in threading.enumerate() if t.name.startswith("batches")]

    taken = made_ahead(lambda number: number, range(1000), THREADS)
    assert next(taken) == 0
    assert ours()
    taken.close()
    for thread in ours():
        thread.join(timeout=60)
    assert not ours()
