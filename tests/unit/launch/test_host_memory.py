"""What is told of the memory of this machine, and of processes that it killed."""

import psutil

from launch.executors import memory
from launch.executors.memory import OutOfMemoryKills, memory_gb


def test_a_machine_has_at_most_all_of_its_memory():
    assert 0 < memory_gb() <= psutil.virtual_memory().total / 1e9


def test_a_container_has_as_much_as_its_limit(tmp_path, monkeypatch):
    limits = [tmp_path / name for name in ("none", "unlimited", "memory.max")]
    limits[1].write_text("max\n")
    limits[2].write_text("500000000\n")
    monkeypatch.setattr(memory, "_own_files", lambda _: limits)
    assert memory_gb() == 0.5


def test_kills_are_those_since_the_look_before_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_LOOK_SECONDS", 0.0)
    counter = tmp_path / "memory.events"
    counter.write_text("low 0\noom 7\noom_kill 3\noom_group_kill 0\n")
    kills = OutOfMemoryKills((counter, tmp_path / "memory.oom_control"))
    assert not kills.happened()
    counter.write_text("low 0\noom 9\noom_kill 4\noom_group_kill 0\n")
    assert kills.happened()
    kills.look()
    assert kills.happened()
    kills.look()
    assert not kills.happened(), "somebody else's, a while ago"


def test_where_nobody_counts_nothing_happened(tmp_path):
    assert not OutOfMemoryKills((tmp_path / "nothing",)).happened()
