"""Networks that searches of all images start from, learned on training photographs.

    python -m rdc.overfitted.learned_start PHOTOGRAPHS [CODEC ...]

writes `starts.npz` beside this file, for all named codecs or some. Files hold
differences from a start, so that a new one is a new codec: streams of before are
refused by its id.

Reptile (Nichol, Achiam & Schulman 2018, arXiv 1803.02999): short searches of a few
crops begin at the start, and the start moves towards the mean of where they end.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from rdc.data.image_sets import list_images, usable_images
from rdc.data.images import read_image
from rdc.errors import ExitCode, RdcError
from rdc.overfitted.optimisation import Problem
from rdc.overfitted.parameters import STARTS, Parameters, drawn, start_key
from rdc.overfitted.schedule import Schedule
from rdc.overfitted.spec import PRESETS, OverfittedSpec, preset
from rdc.system.arrays import npz_bytes
from rdc.system.files import write_bytes_atomically

CROP_PX = 256
ROUNDS = 60
STEPS = 100  # of each search
LMBDAS = (0.0031, 0.0125, 0.05)  # of the searches of one round
MOVES = (0.6, 0.05)  # share of the way to the mean end, in the first round and the last
UNIT = 2.0**-12  # of what is stored


def learned_start(spec: OverfittedSpec, paths: Sequence[Path]) -> dict[str, np.ndarray]:
    """The start, f32 whole multiples of `UNIT`, from photographs of any size above
    `CROP_PX`; minutes of one core.
    """
    random = np.random.default_rng(0)
    schedule = Schedule(steps=STEPS, rounded_share=0.0, evaluations=1)
    start: Parameters = drawn(spec)
    for i in range(ROUNDS):
        ends = []
        for lmbda in LMBDAS:
            problem = Problem(
                spec, _crop(paths[int(random.integers(len(paths)))], random)
            )
            fit = problem.optimised(lmbda, schedule, start=problem.beginning(start))
            ends.append(fit.networks)
        progress = i / max(ROUNDS - 1, 1)
        move = MOVES[0] + (MOVES[1] - MOVES[0]) * progress
        mean = jax.tree.map(lambda *values: np.mean(values, axis=0), *ends)
        start = {n: v + np.float32(move) * (mean[n] - v) for n, v in start.items()}
        print(f"round {i + 1} of {ROUNDS}", flush=True)
    return {n: (np.rint(v / UNIT) * UNIT).astype(np.float32) for n, v in start.items()}


def _crop(path: Path, random: np.random.Generator) -> np.ndarray:
    x = read_image(path)
    top, left = (random.integers(0, side - CROP_PX + 1) for side in x.shape[:2])
    return x[top : top + CROP_PX, left : left + CROP_PX]


def _store(starts: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    arrays = {f"{key}/{n}": v for key, s in starts.items() for n, v in s.items()}
    if STARTS.is_file():
        with np.load(STARTS) as file:
            arrays = {n: file[n] for n in file.files} | arrays
    write_bytes_atomically(STARTS, npz_bytes(arrays))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m rdc.overfitted.learned_start")
    parser.add_argument("photographs", help="a folder, or a .txt list of files")
    parser.add_argument("codecs", nargs="*", metavar="CODEC", help=", ".join(PRESETS))
    options = parser.parse_args(arguments)
    try:
        paths, _ = usable_images(list_images(options.photographs), CROP_PX)
        for name in options.codecs or PRESETS:
            print(name, flush=True)
            spec = preset(name)
            _store({start_key(spec): learned_start(spec, paths)})
    except RdcError as error:
        parser.exit(ExitCode.BAD_INPUT, f"error: {error}\n")
    return ExitCode.OK


if __name__ == "__main__":
    raise SystemExit(main())
