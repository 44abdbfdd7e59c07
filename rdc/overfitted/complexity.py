"""Exact cost of the decoder by part, as its loops run (`rdc.overfitted.kernels`)."""

from __future__ import annotations

import itertools
import math

from rdc.complexity import Complexity, ComponentCost
from rdc.overfitted.parameters import COLOURS, TAPS, group_of, shapes
from rdc.overfitted.schedule import Schedule
from rdc.overfitted.spec import OverfittedSpec

# Of a step of the search: forwards, and two products of that size backwards.
_PASSES = 3
_COMPONENT = {
    "entropy": "entropy_network",
    "upsampling": "upsampling",
    "synthesis": "synthesis",
    "residual": "synthesis",
}
_BYTES_PER_NUMBER = 8


def count(
    spec: OverfittedSpec,
    height_px: int,
    width_px: int,
    schedule: Schedule | None = None,
) -> Complexity:
    """Cost per pixel; the encoder's is that of a search as long as the schedule's.

    The entropy network counts for every latent of every grid. Parameters are in the
    file, and their bits in its bpp.
    """
    schedule = schedule or Schedule()
    pixels = height_px * width_px
    macs = decoder_macs(spec, height_px, width_px)
    params = dict.fromkeys(macs, 0)
    for name, shape in shapes(spec).items():
        params[_COMPONENT[group_of(name).partition(".")[0]]] += math.prod(shape)
    kmacs = sum(macs.values()) / pixels / 1000
    searches = _PASSES * schedule.steps
    rows = [
        ComponentCost(side, name, params[name], times * macs[name] / pixels)
        for side, times in (("encode", searches), ("decode", 1))
        for name in macs
    ]
    total = sum(params.values())
    # Grids at full resolution before and after the last stage, and colours twice.
    held = 2 * spec.grids + 2 * COLOURS
    return Complexity(
        params_total=total,
        params_decoder=total,
        kmacs_per_px=kmacs,
        kmacs_per_px_encode=searches * kmacs,
        padded_px_ratio=1.0,
        decoder_peak_bytes_per_px=float(_BYTES_PER_NUMBER * held),
        by_component=tuple(rows),
    )


def decoder_macs(spec: OverfittedSpec, height_px: int, width_px: int) -> dict[str, int]:
    """Multiply-accumulates of one image by component."""
    grids = spec.grid_shapes(height_px, width_px)
    widths = (spec.entropy_inputs, *spec.entropy_widths)
    per_latent = sum(a * b for a, b in itertools.pairwise(widths))
    per_latent += 2 * (widths[-1] + spec.entropy_inputs)
    upsampling = 0
    for k in range(1, spec.grids):
        (height, _), (_, columns) = grids[k - 1], grids[k]
        # Rows, then columns, of all grids that are at least as coarse.
        upsampling += (spec.grids - k) * TAPS * height * (columns + 2 * columns)
    hidden = spec.synthesis_width
    synthesis = height_px * width_px * (hidden * spec.grids)
    synthesis += height_px * width_px * COLOURS * (hidden + spec.grids)
    for i in range(spec.residual_blocks):
        halo = 2 * (spec.residual_blocks - 1 - i)
        synthesis += 9 * COLOURS**2 * (height_px + halo) * (width_px + halo)
    return {
        "entropy_network": per_latent * sum(h * w for h, w in grids),
        "upsampling": upsampling,
        "synthesis": synthesis,
    }
