"""Decode times of a codec on the present device, in stages that are never mixed.

    network         all that a decoder computes but the entropy coding
    entropy_coding  symbols from bytes, with given table indices
    end_to_end      bytes to u8 pixels in host memory

What is timed is the codec's own compiled programs, on the symbols of a real stream.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from rdc.codec.base import Codec
from rdc.measurements.rows import DecodeTime
from rdc.specs.base import unknown_name
from rdc.specs.timing import BenchmarkSpec
from rdc.system.hardware import cpu_threads, load_average


def time_decoder(
    codec: Codec,
    spec: BenchmarkSpec,
    image: np.ndarray | None = None,
    *,
    dataset: str | None = None,
    rate: float = 0,
    stages: Sequence[str] | None = None,
) -> list[DecodeTime]:
    """Times the decoder, warmed up; every repeat is kept.

    Of random weights (`LearnedCodec.of(build(architecture))`), the stage `network`
    alone tells something: their symbols are no one's.

    Args:
      codec: its numerics are what is timed.
      spec: size of the image, and how often.
      image: u8[height_px,width_px,3]; None: noise.
      dataset: that the image is from.
      rate: the operating point that the image is encoded at.
      stages: of `codec.decoding_stages`; None: all of this codec.

    Raises:
      ConfigError: no such stage or rate.
      DataError: an image that this codec does not take.
    """
    if image is None:
        random = np.random.default_rng(0)
        shape = (spec.height_px, spec.width_px, 3)
        image = random.integers(0, 256, shape, np.uint8)
    known = codec.decoding_stages(codec.encode(image, rate))
    for stage in stages or ():
        if stage not in known:
            raise unknown_name("decoding stage of this codec", stage, list(known))
    rows = []
    for stage in known if stages is None else stages:
        load = load_average()
        rows += [
            DecodeTime(
                dataset=dataset,
                height_px=image.shape[0],
                width_px=image.shape[1],
                precision=spec.precision,
                cpu_threads=cpu_threads(),
                visible_devices=jax.local_device_count(),
                load_average=load,
                stage=stage,
                repeat=repeat,
                decode_ms=milliseconds,
            )
            for repeat, milliseconds in enumerate(_repeats(known[stage], spec))
        ]
    return rows


def _repeats(run: Callable[[], Any], spec: BenchmarkSpec) -> Iterator[float]:
    """Milliseconds of each repeat, after the warm-up; the first call may compile."""
    for _ in range(max(spec.warmup, 1)):
        run()
    for _ in range(spec.repeats):
        started = time.perf_counter()
        run()
        yield (time.perf_counter() - started) * 1000
