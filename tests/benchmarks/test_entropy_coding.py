"""Throughput of the entropy coders on one core, and what it must reach.

`make bench` writes docs/results/entropy_coding.md. The peers run in environments of
their own, .venv-tfc (`make tfc`) and .venv-compressai (`make peers`).
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from rdc.entropy_coders.tables import gaussian_tables

REPOSITORY = Path(__file__).parents[2]
RUNNERS = Path(__file__).parent / "entropy_coding"
RESULTS = REPOSITORY / "docs" / "results" / "entropy_coding.md"
ROUNDS = 5
SHAPE = (32, 48, 320)  # y of a Kodak image
PIXELS = 512 * 768

COMPRESSAI_PYTHON = ".venv-compressai/bin/python"
CODERS = {
    "rdc, `range` (default)": (sys.executable, "run_ours.py", "range"),
    "rdc, `tfc` (worker, wall clock)": (sys.executable, "run_ours.py", "tfc"),
    "TFC 2.14.1 range coder": (".venv-tfc/bin/python", "run_tfc.py"),
    "CompressAI 1.2.8 rANS": (COMPRESSAI_PYTHON, "run_compressai.py", "arrays"),
    "CompressAI, lists ready": (COMPRESSAI_PYTHON, "run_compressai.py", "lists"),
}
OURS, _, TFC, COMPRESSAI, _ = CODERS
LEVELS = {"low rate": 2.0, "high rate": 24.0}  # mean scale index


def latents(
    level: float, shape: tuple[int, int, int] = SHAPE
) -> tuple[np.ndarray, np.ndarray]:
    """Symbols and table indices: scales differ by channel, place and at random."""
    random = np.random.default_rng(0)
    index = (
        random.normal(level, 11, (1, 1, shape[2]))
        + random.normal(0, 4, (*shape[:2], 1))
        + random.normal(0, 2, shape)
    )
    index = np.clip(np.rint(index), 0, 63).astype(np.int32).ravel()
    scales = np.geomspace(0.11, 256.0, 64)[index]
    # One in 500 is far out, as where a network errs: the escape path runs too.
    scales = scales * np.where(random.random(index.size) < 0.002, 6.0, 1.0)
    return np.rint(random.normal(0, scales)).astype(np.int32), index


def run(coder: str, case: Path) -> dict[str, float]:
    python, script, *arguments = CODERS[coder]
    command = [REPOSITORY / python, RUNNERS / script, case, *arguments]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.benchmark
def test_throughput(tmp_path):
    tables = gaussian_tables()
    lines = []
    shortfalls = []
    for name, level in LEVELS.items():
        symbols, table_index = latents(level)
        case = tmp_path / "case.npz"
        np.savez(case, symbols=symbols, table_index=table_index, **tables.to_arrays())
        rounds: dict[str, list[dict[str, float]]] = {coder: [] for coder in CODERS}
        for _ in range(ROUNDS):  # in turn, so that a busy machine hits all alike
            for coder in CODERS:
                rounds[coder].append(run(coder, case))
        times = {
            coder: {
                key: median(result[key] for result in results) for key in results[0]
            }
            for coder, results in rounds.items()
        }
        lines += table(name, symbols, table_index, times)
        for key, peer, factor in (
            ("encode_ms", COMPRESSAI, 3.0),
            ("decode_ms", COMPRESSAI, 2.0),
            ("encode_ms", TFC, 1.0),
            ("decode_ms", TFC, 1.0),
        ):
            ratio = times[peer][key] / times[OURS][key]
            if ratio < factor:
                shortfalls.append(f"{name}: {key} {ratio:.2f} x {peer} < {factor}")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(document(lines))
    assert not shortfalls


def table(name, symbols, table_index, times) -> list[str]:
    bpp = 8 * times[OURS]["bytes"] / PIXELS
    escaped = np.abs(symbols) > -gaussian_tables().offsets[table_index]
    lines = [
        f"## {name}: {bpp:.2f} bpp, {int(escaped.sum())} symbols escaped",
        "",
        "| coder | encode ms | decode ms | encode Msym/s | decode Msym/s | bytes |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for coder, row in times.items():
        speeds = [symbols.size / row[key] / 1e3 for key in ("encode_ms", "decode_ms")]
        lines.append(
            f"| {coder} | {row['encode_ms']:.1f} | {row['decode_ms']:.1f} "
            f"| {speeds[0]:.0f} | {speeds[1]:.0f} | {row['bytes']:.0f} |"
        )
    return [*lines, ""]


def document(lines: list[str]) -> str:
    return "\n".join(
        [
            "# Entropy coding: throughput of one core",
            "",
            f"{np.prod(SHAPE)} symbols (y of a 768 x 512 image, 320 channels), 64 "
            "Gaussian tables, escapes",
            "included. All coders use the same integer tables; from symbols and table "
            "indices in",
            "arrays to bytes and back. CompressAI's coder takes and gives lists: its "
            "first row makes",
            "them, as its `compress` and `decompress` do, the second has them ready. "
            "Processor time;",
            f"median over {ROUNDS} rounds, in which the coders take turns, of the best "
            "of 15 runs.",
            "",
            f"Machine: {cpu()}, one core. Command: `make bench`",
            "(tests/benchmarks/test_entropy_coding.py).",
            "",
            *lines,
            "`make peers` makes the environment of CompressAI.",
            "",
            "The coder `rans`, which is for other devices, beside `range`: "
            "[decoding_on_devices.md](decoding_on_devices.md).",
            "",
        ]
    )


def cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.processor()
