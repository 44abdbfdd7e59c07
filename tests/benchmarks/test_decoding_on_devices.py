"""The coder of many lanes against the range coder, on this CPU.

`make bench` writes docs/results/decoding_on_devices.md: symbols like those of a study's
latents, then files of the models that come with the program.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import jax
import numpy as np
import pytest

from rdc.codec import LearnedCodec
from rdc.codec.container import unpack
from rdc.codec.symbols import PARITY_BYTES
from rdc.data.images import read_image
from rdc.entropy_coders.tables import gaussian_tables
from rdc.system.hardware import describe
from tests.benchmarks.test_entropy_coding import LEVELS, latents
from tests.conftest import REPOSITORY
from tests.unit.rdc.entropy_coders.samples import ideal_bits

RESULTS = REPOSITORY / "docs" / "results" / "decoding_on_devices.md"
RUNNER = Path(__file__).parent / "entropy_coding" / "run_ours.py"
COMMAND = "python -m pytest -m benchmark tests/benchmarks/test_decoding_on_devices.py"
DECODERS = {
    "`range` (default)": "range",
    "`rans`, NumPy": "rans",
    "`rans`, JAX": "rans_device",
}
SIZES = {"768 x 512": (32, 48, 320), "3072 x 2048": (128, 192, 320)}  # of y
IMAGE = "kodim04"
MODELS = ("best", "light")
ROUNDS = 3
MAX_EXCESS = 0.005


@pytest.mark.benchmark
@pytest.mark.timeout(7200)
def test_decoding_on_devices(tmp_path: Path, kodak: Path) -> None:
    symbols = [
        row
        for size, shape in SIZES.items()
        for level in LEVELS
        for row in rows_of_symbols(size, shape, level, tmp_path / "case.npz")
    ]
    files = [row for model in MODELS for row in rows_of_files(model, kodak)]
    RESULTS.write_text(document(symbols, files))
    for row in symbols:
        assert row["excess"] <= MAX_EXCESS, row
    for row in files:
        assert row["rans bytes"] <= (1 + MAX_EXCESS) * row["range bytes"], row


def rows_of_symbols(
    size: str, shape: tuple[int, int, int], level: str, case: Path
) -> list[dict[str, Any]]:
    """One per decoder, in turn, each in a process of its own on one core."""
    tables = gaussian_tables()
    symbols, table_index = latents(LEVELS[level], shape)
    np.savez(case, symbols=symbols, table_index=table_index, **tables.to_arrays())
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in DECODERS}
    for _ in range(ROUNDS):
        for name, argument in DECODERS.items():
            command = [sys.executable, RUNNER, case, argument]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rounds[name].append(json.loads(done.stdout))
    ideal = ideal_bits(symbols, table_index, tables) / 8
    return [
        {
            "case": f"{size}, {level}",
            "decoder": name,
            **{key: median(r[key] for r in results) for key in results[0]},
            "excess": results[0]["bytes"] / ideal - 1,
        }
        for name, results in rounds.items()
    ]


def rows_of_files(model: str, kodak: Path) -> list[dict[str, Any]]:
    """Of the lowest, the default and the highest rate: bytes, and times in turn."""
    x = read_image(kodak / f"{IMAGE}.png")
    plain, lanes = (
        LearnedCodec.load(model, coder=coder, numerics="native")
        for coder in ("range", "rans")
    )
    rows = []
    for rate in (0, plain.rate_of(None), len(plain.operating_points) - 1):
        of_range, of_rans = plain.encode(x, rate), lanes.encode(x, rate)
        _, payload = unpack(of_rans)
        difference = lanes.decode_on_device(of_rans).astype(int) - plain.decode(
            of_range
        )
        assert np.abs(difference).max() <= 1
        rows.append(
            {
                "model": f"{model}, rate {rate:g}",
                "range bytes": len(of_range),
                "rans bytes": len(of_rans),
                "lanes": 1 << payload[PARITY_BYTES * len(plain.model.steps)],
                **times(
                    {
                        "range ms": lambda data=of_range: plain.decode(data),
                        "one program ms": lambda data=of_rans: lanes.decode_on_device(
                            data
                        ),
                    }
                ),
            }
        )
    return rows


def times(decoders: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Wall clock, the best of three, in turn."""
    found: dict[str, list[float]] = {name: [] for name in decoders}
    for _ in range(3):
        for name, decode in decoders.items():
            started = time.perf_counter()
            decode()
            found[name].append(1e3 * (time.perf_counter() - started))
    return {name: min(values) for name, values in found.items()}


def document(symbols: list[dict[str, Any]], files: list[dict[str, Any]]) -> str:
    device = describe()
    text = f"""\
# Entropy decoding for devices

The coder `rans` steps many states at once, as many as 0.3 % of the bytes hold
([format](../format.md),
[decision 028](../decisions/028-interleaved-rans.md)). It is for devices that a decoder
should not leave; the range coder beside it is native code of the host. A GPU or a TPU:
not measured, unless the next line names one.

Machine: {device["host_cpu"]}; JAX {jax.__version__} on {device["platform"]}. Command:
`{COMMAND}`,
or `make bench`.

## Symbols

Those of [entropy coding](entropy_coding.md): y of 320 channels, 64 Gaussian tables,
escapes. Processor time of one core, median over {ROUNDS} rounds in which the decoders
take turns, of the best of some runs; JAX has compiled before. The excess is over the
bits of the tables' frequencies, escapes included.

| image, rate | decoder | encode ms | decode ms | bytes | excess % |
| --- | --- | --- | --- | --- | --- |
"""
    for row in symbols:
        text += (
            f"| {row['case']} | {row['decoder']} | {row['encode_ms']:.1f} "
            f"| {row['decode_ms']:.1f} | {row['bytes']:.0f} "
            f"| {100 * row['excess']:.2f} |\n"
        )
    text += f"""
Both decoders of `rans` have the same encoder, in NumPy.

## Files

{IMAGE} of Kodak (512 x 768), numerics `native`; decode times from bytes to pixels, wall
clock, the best of three. `range` decodes on the host between programs; *one program* is
`LearnedCodec.decode_on_device`.

| model | `range` bytes | `rans` bytes | % | lanes | `range` ms | one program ms |
| --- | --- | --- | --- | --- | --- | --- |
"""
    for row in files:
        more = 100 * (row["rans bytes"] / row["range bytes"] - 1)
        text += (
            f"| {row['model']} | {row['range bytes']} | {row['rans bytes']} "
            f"| {more:.2f} | {row['lanes']} | {row['range ms']:.0f} "
            f"| {row['one program ms']:.0f} |\n"
        )
    return text
