"""Decode times of a codec on the present device, in stages that are never mixed.

    network         all that a decoder computes but the entropy coding
    entropy_coding  symbols from bytes, with given table indices
    end_to_end      bytes to u8 pixels in host memory

What is timed is the codec's own compiled programs, on the symbols of a real stream, in
a precision that they ask for. Each stage is a block of repeats between two
measurements of an anchor (`rdc.measurements.conditions`); a block during which it
drifted is measured again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import jax
import numpy as np

from rdc.codec.base import Codec
from rdc.measurements.conditions import Anchor, observed
from rdc.measurements.rows import STAGES, ComponentTime, DecodeTime
from rdc.specs.base import unknown_name
from rdc.specs.timing import BenchmarkSpec
from rdc.system.backends import precision, resolved_precision
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
      spec: size of the image, how often, and the precision.
      image: u8[height_px,width_px,3]; None: noise.
      dataset: that the image is from.
      rate: the operating point that the image is encoded at.
      stages: of `codec.decoding_stages`; None: all of this codec.

    Raises:
      ConfigError: no such stage or rate, or a precision that the device lacks.
      DataError: an image that this codec does not take.
    """
    image = _noise(spec) if image is None else image
    name = resolved_precision(spec.precision)
    with precision(name):
        streams = [codec.encode(image, rate)] * spec.batch_size
        known = codec.decoding_stages(streams)
        for stage in stages or ():
            if stage not in known:
                raise unknown_name("decoding stage of this codec", stage, list(known))
        anchor, rows = Anchor(), []
        for stage in known if stages is None else stages:
            load = load_average()
            times, block = _block(known[stage], spec, anchor)
            if stage == STAGES[0]:
                block |= _roofline(codec, spec, image.shape, block)
            rows += [
                DecodeTime(
                    dataset=dataset,
                    height_px=image.shape[0],
                    width_px=image.shape[1],
                    batch_size=spec.batch_size,
                    precision=name,
                    cpu_threads=cpu_threads(),
                    visible_devices=jax.local_device_count(),
                    load_average=load,
                    stage=stage,
                    repeat=repeat,
                    decode_ms=milliseconds,
                    **block,
                )
                for repeat, milliseconds in enumerate(times)
            ]
    return rows


def time_components(
    codec: Codec,
    spec: BenchmarkSpec,
    image: np.ndarray | None = None,
    *,
    rate: float = 0,
) -> list[ComponentTime]:
    """Times parts of encoder and decoder, each by itself (`Codec.components`).

    Arguments and errors as of `time_decoder`.
    """
    image = _noise(spec) if image is None else image
    rows = []
    with precision(resolved_precision(spec.precision)):
        for (side, component), run in codec.components(image, rate).items():
            _warm_up(run, spec)
            rows += [
                ComponentTime(
                    side=side,
                    component=component,
                    repeat=repeat,
                    milliseconds=milliseconds,
                )
                for repeat, milliseconds in enumerate(_repeats(run, spec))
            ]
    return rows


def _noise(spec: BenchmarkSpec) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (spec.height_px, spec.width_px, 3), np.uint8)


def _block(
    run: Callable[[], Any], spec: BenchmarkSpec, anchor: Anchor
) -> tuple[list[float], dict[str, Any]]:
    """(milliseconds of each repeat, what went on: fields of a `DecodeTime`)."""
    _warm_up(run, spec)
    blocks = 0
    while True:
        blocks += 1
        with observed(anchor) as block:
            times = _repeats(run, spec)
        if abs(block.drift) <= spec.max_drift or blocks == spec.attempts:
            break
    seen = asdict(block)
    device = seen.pop("device")
    return times, {**seen, **device, "blocks": blocks}


def _roofline(
    codec: Codec, spec: BenchmarkSpec, shape: tuple[int, ...], block: dict[str, Any]
) -> dict[str, float | None]:
    """`roofline_ms` and `memory_bound`; None where nobody counts the codec."""
    cost = codec.cost(*shape[:2])
    products = () if cost is None else cost.decoder_products
    if not products:
        return {"roofline_ms": None, "memory_bound": None}
    bounds = np.array(
        [
            (2 * p.macs / block["matrix_gflops"], p.bytes / block["memory_gb_per_s"])
            for p in products
        ]
    )
    waits = bounds[:, 1] > bounds[:, 0]
    total = bounds.max(1).sum()
    return {
        "roofline_ms": float(spec.batch_size * total / 1e6),
        "memory_bound": float(bounds[waits, 1].sum() / total),
    }


def _warm_up(run: Callable[[], Any], spec: BenchmarkSpec) -> None:
    for _ in range(max(spec.warmup, 1)):  # the first call may compile
        run()


def _repeats(run: Callable[[], Any], spec: BenchmarkSpec) -> list[float]:
    """Milliseconds of each repeat."""
    times = []
    for _ in range(spec.repeats):
        started = time.perf_counter()
        run()
        times.append((time.perf_counter() - started) * 1000)
    return times
