"""Transforms and hyper-analysis, compiled for few canvas sizes: arrays in and out.

They are the encoder's or the decoder's own business and run in the device's floating
point. Images of every size go through the same programs (`rdc.codec.tiles`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from flax import nnx

from rdc.codec import programs
from rdc.codec.symbols import factor
from rdc.codec.tiles import tiling
from rdc.layers.reach import Reach, reach
from rdc.model import CompressionModel


class TransformNetworks:
    """Analysis, synthesis and hyper-analysis."""

    def __init__(self, model: CompressionModel):
        spec = model.spec
        self._hyper_input_is_magnitude = spec.entropy_model.hyper_input_is_magnitude
        self._multiple_px, stride = spec.padding_multiple_px, spec.transform.stride
        self._y_px, self._gains = stride, model.latent_gains
        self._analyses = [
            _Transform(programs.from_pixels, encoder, 1) for encoder in model.encoders
        ]
        self._synthesis = _Transform(
            programs.to_pixels, model.synthesis_transform, stride
        )
        if model.hyper_analysis is not None:
            self._hyper_analysis = _Transform(
                programs.apply, model.hyper_analysis, stride
            )

    @property
    def are_tiled(self) -> bool:
        """However large an image is, a tile of it is worked on at a time."""
        reaches = self._analyses[0].reach_px, self._synthesis.reach_px
        return all(map(math.isfinite, reaches))

    def analyse(self, x: np.ndarray, rate: float = 0, encoders: int = 1) -> np.ndarray:
        """u8[n,H,W,3], padded -> y f32[n,h,w,C], by so many encoders."""
        found = [analysis(x, self._y_px) for analysis in self._analyses[:encoders]]
        y = (
            sum(found[1:], found[0]) / np.float32(encoders)
            if encoders > 1
            else found[0]
        )
        if self._gains is None:
            return y
        return y * factor(self._gains.on_host(rate).gain)

    def hyperlatents(self, y: np.ndarray) -> np.ndarray:
        """y f32[n,h,w,C] -> z f32[n,h/4,w/4,C]."""
        if self._hyper_input_is_magnitude:
            y = np.abs(y)
        return self._hyper_analysis(y, self._multiple_px)

    def synthesise(self, y_hat: np.ndarray, rate: float = 0) -> np.ndarray:
        """y_hat f32[n,h,w,C] -> u8[n,H,W,3], padded size."""
        if self._gains is not None:
            y_hat = y_hat * factor(self._gains.on_host(rate).inverse)
        return self._synthesis(y_hat, self._y_px)


class _Transform:
    """A network of maps whose positions are `step_px` apart, for maps of every size."""

    def __init__(self, program: Callable, network: Any, step_px: int):
        self._program, self._step_px = program, step_px
        self._graph, self._state = nnx.split(network)
        found = reach(network, Reach(0, step_px))
        self.reach_px, self._made_px = found.px, found.step_px

    def __call__(self, values: np.ndarray, multiple_px: int) -> np.ndarray:
        height, width = (n * self._step_px for n in values.shape[-3:-1])
        where = tiling((height, width), self.reach_px, multiple_px)
        parts = (where.cut(values, self._step_px, tile) for tile in where.tiles)
        made = (
            self._program(self._graph, where.canvas_px, self._state, where.border_px, x)
            for x in parts
        )
        return where.joined(made, self._made_px)
