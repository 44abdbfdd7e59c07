"""Data parallelism on four devices that XLA makes of this processor."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json
import logging
import jax
import numpy as np
from rdc.architectures import build
from rdc.specs.recipe import Recipe
from rdc.training.devices import DataParallel
from rdc.training.step import compiled_step, initial_state
from tests.architectures import ALL

warnings = []
handler = logging.Handler()
handler.emit = lambda record: warnings.append(record.getMessage())
logging.getLogger("rdc").addHandler(handler)
batch = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
rows = []
for devices, accumulate in ((1, 1), (4, 1), (4, 2)):
    recipe = Recipe(
        steps=9, batch_size=8, crop_px=32, learning_rate=1e-3, accumulate=accumulate
    )
    model = build(ALL["conv-factorized-None"], seed=0)
    parallel = DataParallel(8 // accumulate, jax.local_devices()[:devices])
    state = parallel.replicate(initial_state(model, recipe))
    step = compiled_step(model, recipe)
    state, metrics = step(state, parallel.divide(batch), 0.0125, jax.random.key(0))
    moments = jax.tree.leaves(state.optimizer[1][0].mu)
    rows.append(
        {
            "devices": parallel.count,
            "weights_on": sorted({len(w.sharding.device_set) for w in moments}),
            "replicated": all(w.sharding.is_fully_replicated for w in moments),
            "metrics": {name: float(value) for name, value in metrics.items()},
            "moments": float(sum(abs(np.asarray(w)).sum() for w in moments)),
        }
    )
counts = [DataParallel(n).count for n in (6, 2, 1)]
print(json.dumps({"rows": rows, "counts": counts, "warnings": warnings}))
"""


@pytest.fixture(scope="module")
def result() -> dict:
    # Without optimisation, which would take most of the time.
    flags = (
        "--xla_force_host_platform_device_count=4 "
        "--xla_backend_optimization_level=0 "
        "--xla_llvm_disable_expensive_passes=true"
    )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_devices_compute_what_one_computes(result: dict) -> None:
    """Up to rounding; so their noise is the same."""
    one, four, micro = result["rows"]
    assert (one["devices"], four["devices"], micro["devices"]) == (1, 4, 4)
    for row in (four, micro):
        assert row["weights_on"] == [4]
        assert row["replicated"]
        assert row["moments"] == pytest.approx(one["moments"], rel=1e-5)
        for name, value in one["metrics"].items():
            assert row["metrics"][name] == pytest.approx(value, rel=1e-5), name


def test_devices_that_do_not_divide_the_batch_are_left_out(result: dict) -> None:
    assert result["counts"] == [3, 2, 1]
    assert result["warnings"] == [
        f"{n} of 4 devices: the others have no share of {batch} images"
        for n, batch in ((3, 6), (2, 2), (1, 1))
    ]
