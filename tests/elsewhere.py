"""Decoding in another process: on other threads, compiled in another way."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.conftest import REPOSITORY

# Stands in for another device: sums in any order, products contracted, division by
# reciprocals, other vectors.
ANOTHER_DEVICE = (
    "--xla_cpu_enable_fast_math=true --xla_cpu_fast_math_honor_division=false "
    "--xla_cpu_max_isa=SSE4_2"
)

_CODE = """
import hashlib, sys
from pathlib import Path
from rdc.codec import LearnedCodec
codec = LearnedCodec.load(sys.argv[1])
for stream in sys.argv[2:]:
    y_hat = codec.decoded(Path(stream).read_bytes()).y_hat
    print(hashlib.sha256(y_hat.tobytes()).hexdigest())
"""


def hash_of(y_hat: np.ndarray) -> str:
    """What `decode_elsewhere` prints of equal latents."""
    return hashlib.sha256(y_hat.tobytes()).hexdigest()


def decode_elsewhere(
    model: Path | str,
    streams: Sequence[Path],
    cores: set[int],
    xla_flags: str = "",
) -> subprocess.CompletedProcess:
    """Decodes in a fresh process on some cores; prints a line `hash_of` per stream."""
    arguments = [sys.executable, "-c", _CODE, str(model), *map(str, streams)]
    return subprocess.run(
        ["taskset", "--cpu-list", ",".join(map(str, sorted(cores))), *arguments],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "XLA_FLAGS": xla_flags},
        check=False,
    )
