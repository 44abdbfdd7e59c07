"""What a compiler expects of a decoder and of a training step, as rows of tables.

`decode_estimates` never mixes with `decode_times`: nothing of it was measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rdc.compiler import cuda, tpu
from rdc.compiler.decoder import COMPONENTS, decoding_program
from rdc.compiler.expected import Expected
from rdc.compiler.hlo_program import OTHER
from rdc.compiler.training import training_program
from rdc.measurements.rows import DecodeEstimate, TrainingEstimate
from rdc.specs.compiler import CompilerTarget
from rdc.specs.components import ArchitectureSpec
from rdc.specs.recipe import Recipe


def compiler_version(target: CompilerTarget) -> str:
    """Of the compiler that a target needs.

    Raises:
      ConfigError: it is not installed.
    """
    return (tpu if target.gpu is None else cuda).compiler_version()


def _source(target: CompilerTarget) -> str:
    return "compiler" if target.gpu is None else "roofline"


def estimated_decoder(
    spec: ArchitectureSpec, target: CompilerTarget, height_px: int, width_px: int
) -> list[DecodeEstimate]:
    """One row per component of the network stage, and one of all: `network`.

    The decoder is one program of one image, batch 1, with the symbols given: what
    entropy coding and transfers take is not in it. A program that needs more memory
    than there is gives one row, without times.

    Raises:
      ConfigError: no compiler, or a device that it does not know.
      DataError: the program does not compile.
    """
    program, *shapes = decoding_program(spec, height_px, width_px)
    what = f"the decoder of {height_px} x {width_px} pixels"
    found = _expected(target)(what, target, program, shapes, COMPONENTS)

    def row(component: str, cycles: int | None, decode_ms: float | None) -> Any:
        return DecodeEstimate(
            height_px=height_px,
            width_px=width_px,
            precision=target.precision,
            component=component,
            cycles=cycles,
            decode_ms=decode_ms,
            peak_bytes=found.peak_bytes,
            fits=found.fits(target),
            source=_source(target),
        )

    if found.milliseconds is None:
        return [row("network", None, None)]
    cycles = found.cycles
    rows = [
        row(
            name,
            None if cycles is None else cycles.get(name, 0),
            found.milliseconds.get(name, 0.0),
        )
        for name in (*COMPONENTS, OTHER)
    ]
    whole = None if cycles is None else sum(cycles.values())
    return [*rows, row("network", whole, sum(found.milliseconds.values()))]


def estimated_training(
    spec: ArchitectureSpec, recipe: Recipe, num_rates: int, target: CompilerTarget
) -> TrainingEstimate:
    """Of one training step on one device: forward, backward, optimiser.

    The whole batch is on that device. Reading images and what the host does are not in
    it. A step that needs more memory than there is has no times.

    Raises:
      ConfigError: no compiler, or a device that it does not know.
      DataError: the step does not compile.
    """
    program, shapes = training_program(spec, recipe, num_rates)
    what = f"a step of {recipe.batch_size} x {recipe.crop_px} px"
    found = _expected(target)(what, target, program, shapes, donated=(0,))
    times = found.milliseconds
    return TrainingEstimate(
        batch_size=recipe.batch_size,
        crop_px=recipe.crop_px,
        num_rates=num_rates,
        network_precision=recipe.precision,
        accumulate=recipe.accumulate,
        remat=recipe.remat,
        precision=target.precision,
        cycles=None if found.cycles is None else sum(found.cycles.values()),
        step_ms=None if times is None else sum(times.values()),
        peak_bytes=found.peak_bytes,
        fits=found.fits(target),
        source=_source(target),
    )


def _expected(target: CompilerTarget) -> Callable[..., Expected]:
    return (tpu if target.gpu is None else cuda).expected
