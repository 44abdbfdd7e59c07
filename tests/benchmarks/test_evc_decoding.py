"""`pytest -m benchmark tests/benchmarks/test_evc_decoding.py -s`: decoders of EVC's
line beside model B of the study, networks alone, of a Kodak image, on this CPU.

Processor time in turns, so that a noisy machine slows all alike; docs/results/evc.md.
"""

from __future__ import annotations

import time

import jax
import numpy as np
import pytest
from flax import nnx

from rdc.architectures import build
from rdc.compiler.decoder import decode, decoding_program
from rdc.complexity import count

pytestmark = pytest.mark.benchmark

NAMES = ("rdc_b", "dcvc_uf_intra", "evc_l", "evc_m", "evc_s")
HEIGHT_PX, WIDTH_PX, ROUNDS = 512, 768, 3


def test_decoders_of_evcs_line() -> None:
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    runs = {}
    for name in NAMES:
        model = build(name, seed=0)
        graph, state = nnx.split(model)
        _, _, shapes = decoding_program(model.spec, HEIGHT_PX, WIDTH_PX)
        symbols = [np.zeros(s.shape, np.float32) for s in shapes]
        # The forms of this CPU, not those that compilers of other devices are given.
        program = jax.jit(decode.__wrapped__, static_argnums=0)
        runs[name] = lambda g=graph, s=state, y=symbols, p=program: p(g, s, y)
        jax.block_until_ready(runs[name]())
    for _ in range(ROUNDS):
        for name, run in runs.items():
            began = time.process_time()
            jax.block_until_ready(run())
            seconds[name].append(time.process_time() - began)
    costs = {name: count(name, HEIGHT_PX, WIDTH_PX).kflops_per_px for name in NAMES}
    of_b = min(seconds["rdc_b"])
    for name, found in seconds.items():
        least = min(found)
        print(
            f"{name}: {costs[name]:.1f} kFLOPs/px, {1000 * least:.0f} ms of processor "
            f"time, {of_b / least:.2f} x rdc_b's speed"
        )
    least_of = {name: min(found) for name, found in seconds.items()}
    assert least_of["evc_s"] < least_of["evc_m"] < least_of["evc_l"]
