"""Starts of the networks: what is shipped, and the command that makes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rdc.data.images import read_image
from rdc.errors import ExitCode
from rdc.overfitted import learned_start
from rdc.overfitted.optimisation import Problem
from rdc.overfitted.parameters import (
    drawn,
    initial,
    learned_starts,
    shapes,
    start,
    start_key,
)
from rdc.overfitted.schedule import Schedule
from rdc.overfitted.spec import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_starts_are_whole_multiples_of_what_files_can_hold(name: str) -> None:
    values = start(PRESETS[name])
    assert {n: v.shape for n, v in values.items()} == shapes(PRESETS[name])
    for value in values.values():
        steps = value * 4096
        np.testing.assert_array_equal(steps, np.rint(steps))


def test_every_shipped_start_is_of_a_named_codec() -> None:
    named = {start_key(spec) for spec in PRESETS.values()}
    assert set(learned_starts()) <= named
    assert start_key(PRESETS["overfitted_1200"]) in learned_starts()


def test_a_learned_start_is_ahead_after_some_steps(
    photographs: dict[str, list[Path]],
) -> None:
    """Not at once: the pyramid of latents fits the plain start."""
    x = read_image(photographs["eval"][0])[80:208, 100:228]
    spec, schedule = PRESETS["overfitted_1200"], Schedule(steps=150)
    problem = Problem(spec, x)
    losses = []
    for networks in (initial(spec), drawn(spec)):
        beginning = problem.beginning(networks)
        fit = problem.optimised(0.0125, schedule, start=beginning)
        losses.append(problem.loss(fit, 0.0125))
    assert losses[0] < 0.9 * losses[1]


def test_the_command_learns_anew_and_keeps_what_it_was_not_asked_for(
    photographs: dict[str, list[Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    file = tmp_path / "starts.npz"
    monkeypatch.setattr(learned_start, "STARTS", file)
    for name, value in {"CROP_PX": 64, "STEPS": 3, "ROUNDS": 1}.items():
        monkeypatch.setattr(learned_start, name, value)
    np.savez(file, **{"other/weight": np.ones(2)})
    photos = tmp_path / "photos.txt"
    photos.write_text("\n".join(map(str, photographs["train"][:2])))
    arguments = [str(photos), "overfitted_300"]
    assert learned_start.main(arguments) == ExitCode.OK
    with np.load(file) as first:
        arrays = dict(first)
    key = start_key(PRESETS["overfitted_300"])
    names = {f"{key}/{name}" for name in shapes(PRESETS["overfitted_300"])}
    assert set(arrays) == {"other/weight", *names}
    before = drawn(PRESETS["overfitted_300"])["synthesis.weight.0"]
    assert not np.array_equal(arrays[f"{key}/synthesis.weight.0"], before)
    assert learned_start.main(arguments) == ExitCode.OK  # not from the first result
    with np.load(file) as again:
        assert all(np.array_equal(again[name], arrays[name]) for name in arrays)
    with pytest.raises(SystemExit) as end:
        learned_start.main([str(photos), "overfitted_5"])
    assert end.value.code == ExitCode.BAD_INPUT
    assert "overfitted_300" in capsys.readouterr().err
