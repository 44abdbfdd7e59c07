"""Decode times on the present device, in three stages that are never mixed.

    network         hyper-synthesis, slice networks and synthesis on given symbols
    entropy_coding  symbols from bytes, with given table indices
    end_to_end      bytes to u8 pixels in host memory

Compiled ahead per shape, warmed up, inputs on the device, every repeat kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.architectures import build
from rdc.codec import Codec
from rdc.data.image_sets import dataset_name, readable_images
from rdc.jobs.job import BenchmarkJob, Request
from rdc.model import CompressionModel, decode_slices
from rdc.specs.components import ArchitectureSpec
from rdc.specs.training import BenchmarkSpec


def benchmark(job: BenchmarkJob, request: Request) -> dict[str, Any]:
    """Times the decoder of a trained model, or of random weights (network alone)."""
    spec = job.benchmark
    if request.model_dir is None:
        model = build(job.architecture, seed=0)
        dataset = None
        times = {"network": _network_times(model, spec)}
    else:
        codec = Codec.load(request.model_dir, job.codec.coder, job.codec.arithmetic)
        assert request.images is not None
        dataset = dataset_name(request.images)
        data = codec.compress(_photograph(request.images, spec))
        times = {
            "network": _network_times(codec.model, spec),
            "entropy_coding": list(_repeats(codec.symbol_decoding(data), spec)),
            "end_to_end": list(_repeats(lambda: codec.decompress(data), spec)),
        }
    return {
        "arch_id": job.arch_id,
        "run_id": job.run_id,
        "times": [
            {
                "dataset": dataset,
                "height_px": spec.height_px,
                "width_px": spec.width_px,
                "precision": spec.precision,
                "stage": stage,
                "repeat": repeat,
                "decode_ms": milliseconds,
            }
            for stage, repeats in times.items()
            for repeat, milliseconds in enumerate(repeats)
        ],
    }


def _network_times(model: CompressionModel, spec: BenchmarkSpec) -> list[float]:
    decode = jax.jit(network_decoder(model))
    inputs = _symbols(model.spec, spec.height_px, spec.width_px)
    inputs = jax.device_put((nnx.state(model), *inputs))
    compiled = decode.lower(*inputs).compile()
    return list(_repeats(lambda: jax.block_until_ready(compiled(*inputs)), spec))


def network_decoder(model: CompressionModel) -> Callable:
    """(state, symbols of y, symbols of z) -> (u8 pixels, table indices per slice).

    All that a decoder computes but the entropy coding between the slices.
    """
    graph = nnx.graphdef(model)

    def decode(
        state: Any, y_symbols: jax.Array, z_symbols: jax.Array
    ) -> tuple[jax.Array, list[jax.Array]]:
        model = nnx.merge(graph, state)
        y_hat, indices = y_symbols, []
        if model.hyper_synthesis is not None:
            slices = model.split(y_symbols)

            def quantize(i: int, mean: jax.Array, scale_index: jax.Array) -> jax.Array:
                indices.append(jnp.round(scale_index).astype(jnp.int32))
                return slices[i] + mean

            y_hat = decode_slices(
                tuple(model.slices), model.hyper_synthesis(z_symbols), quantize
            )
        x_hat = model.synthesis_transform(y_hat)
        return jnp.clip(jnp.round(x_hat * 255.0), 0, 255).astype(jnp.uint8), indices

    return decode


def _symbols(
    spec: ArchitectureSpec, height_px: int, width_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """Arrays of zeros in the shapes of y and z."""
    multiple, stride = spec.padding_multiple_px, spec.transform.stride
    height, width = (-(-side // multiple) * multiple for side in (height_px, width_px))
    y_shape = (1, height // stride, width // stride, spec.transform.latent_channels)
    z_shape: tuple[int, ...] = (0,)
    if (hyper := spec.hyper_transform) is not None:
        sides = (side // hyper.stride for side in y_shape[1:3])
        z_shape = (1, *sides, hyper.hyperlatent_channels)
    return np.zeros(y_shape, np.float32), np.zeros(z_shape, np.float32)


def _photograph(source: str, spec: BenchmarkSpec) -> np.ndarray:
    """A real image of the asked size: the first that is large enough, cropped, else
    the first, mirrored at its borders."""
    first = None
    for _, image in readable_images(source):
        first = image if first is None else first
        if image.shape[0] >= spec.height_px and image.shape[1] >= spec.width_px:
            return image[: spec.height_px, : spec.width_px]
    assert first is not None  # a set without readable images has raised
    pads = [
        (0, max(spec.height_px - first.shape[0], 0)),
        (0, max(spec.width_px - first.shape[1], 0)),
        (0, 0),
    ]
    return np.pad(first, pads, "symmetric")[: spec.height_px, : spec.width_px]


def _repeats(run: Callable[[], Any], spec: BenchmarkSpec) -> Iterator[float]:
    """Milliseconds of each repeat, after the warm-up."""
    for _ in range(max(spec.warmup, 1)):
        run()
    for _ in range(spec.repeats):
        started = time.perf_counter()
        run()
        yield (time.perf_counter() - started) * 1000
