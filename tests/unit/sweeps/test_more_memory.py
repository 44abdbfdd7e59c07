"""A job that ran out of host memory: in which queue it waits, what is noted of it."""

import dataclasses
import signal

import pytest

from rdc.specs.recipe import Recipe
from rdc.specs.timing import BenchmarkSpec
from sweeps.board import Board
from sweeps.capacity import Resources
from sweeps.executor import Attempt, AttemptEnd
from sweeps.grid import Grid
from sweeps.outcome import reading
from sweeps.outputs import Outputs
from sweeps.plan import make_plan
from sweeps.policy import Start
from sweeps.task_settings import ImageSet, TaskSettings
from sweeps.tasks import Task, make_tasks

PLAIN, MORE = Resources(), Resources(memory_factor=2)


@pytest.fixture
def tasks() -> list[Task]:
    """Three trainings that may share a process."""
    grid = {
        "name": "memory",
        "base": {"architecture": "bmshj2018_factorized"},
        "blocks": [{"product": {"train.lmbda": [0.01, 0.02, 0.03]}}],
    }
    images = ImageSet("images", "images", "0")
    settings = TaskSettings(
        stages=("train",),
        train_set=images,
        eval_set=images,
        hardware_id="here",
        benchmark=BenchmarkSpec(),
        models_together=3,
    )
    train = {"lmbda": 0.01, **Recipe(steps=10).to_dict()}
    return make_tasks(make_plan(Grid.from_dict(grid), train, "0"), settings)


def test_each_waits_for_room_of_its_own(tasks, tmp_path):
    board = Board(Outputs(tmp_path), tasks)
    for task in tasks:
        board.enqueue(task, Start(), 0.0)
    assert list(board.waiting()) == [PLAIN], "they share a process"
    first, start = board.next(0.0, lambda _: True)
    assert start == Start()
    assert board.take(first) == tasks
    assert list(board.waiting()) == []
    more = Start(memory_factor=2)
    for task in tasks[1:]:
        board.enqueue(task, more, 0.0)
    board.enqueue(tasks[0], Start(), 0.0)
    assert sorted(board.waiting(), key=lambda w: w.memory_factor) == [PLAIN, MORE, MORE]
    # What waits for much memory keeps nothing else waiting, and starts alone.
    assert board.next(0.0, lambda wanted: wanted == PLAIN) == (tasks[0], Start())
    assert board.take(tasks[0]) == tasks[:1]
    assert board.next(0.0, lambda wanted: wanted == PLAIN) is None
    for task in tasks[1:]:
        assert board.next(0.0, lambda _: True) == (task, more)
        assert board.take(task) == [task]
    assert board.idle


def test_how_much_memory_an_attempt_had_outlives_its_driver(tasks, tmp_path):
    task = tasks[0]
    folder = Board(Outputs(tmp_path), tasks).folder(task.job_id)
    request = dataclasses.replace(task.request, memory_factor=2)
    number, _ = folder.begin(task.job, request)
    attempt = Attempt(
        task.job_id,
        number,
        folder.workplace(number),
        dataclasses.replace(task.wanted(2), memory_gb=6.0),
        setting=task.setting,
    )
    lost = reading(folder, number)
    assert (lost.outcome, lost.memory_factor) == ("lost", 2)
    killed = AttemptEnd(attempt, -signal.SIGKILL, 1.0)
    assert reading(folder, number, killed).outcome == "lost"
    killed = dataclasses.replace(killed, out_of_memory=True)
    ended = reading(folder, number, killed)
    assert (ended.outcome, ended.memory_factor) == ("host_oom", 2)
    assert "hardware.train.memory_gb is 6, taken 2 times" in ended.error
    folder.end(ended)
    assert reading(folder, number) == ended
