"""What a compiler expects of a decoder and of a training step, as rows of tables.

`decode_estimates` never mixes with `decode_times`: nothing of it was measured.
"""

from __future__ import annotations

from rdc.compiler.decoder import COMPONENTS, decoding_program
from rdc.compiler.hlo_cycles import OTHER
from rdc.compiler.tpu import expected
from rdc.compiler.training import training_program
from rdc.measurements.rows import DecodeEstimate, TrainingEstimate
from rdc.specs.compiler import CompilerTarget
from rdc.specs.components import ArchitectureSpec
from rdc.specs.recipe import Recipe

SOURCE = "compiler"


def estimated_decoder(
    spec: ArchitectureSpec, target: CompilerTarget, height_px: int, width_px: int
) -> list[DecodeEstimate]:
    """One row per component of the network stage, and one of all: `network`.

    The decoder is one program of one image, batch 1, with the symbols given: what
    entropy coding and transfers take is not in it. A program that needs more memory
    than there is gives one row, without cycles.

    Raises:
      ConfigError: no compiler, or a topology that it does not know.
      DataError: the program does not compile.
    """
    program, *shapes = decoding_program(spec, height_px, width_px)
    what = f"the decoder of {height_px} x {width_px} pixels"
    found = expected(what, target, program, shapes, COMPONENTS)

    def row(component: str, cycles: int | None) -> DecodeEstimate:
        return DecodeEstimate(
            height_px=height_px,
            width_px=width_px,
            precision=target.precision,
            component=component,
            cycles=cycles,
            decode_ms=None if cycles is None else target.milliseconds(cycles),
            peak_bytes=found.peak_bytes,
            fits=found.fits(target),
            source=SOURCE,
        )

    if found.cycles is None:
        return [row("network", None)]
    cycles = {name: found.cycles.get(name, 0) for name in (*COMPONENTS, OTHER)}
    cycles["network"] = sum(cycles.values())
    return [row(name, count) for name, count in cycles.items()]


def estimated_training(
    spec: ArchitectureSpec, recipe: Recipe, num_rates: int, target: CompilerTarget
) -> TrainingEstimate:
    """Of one training step on one device: forward, backward, optimiser.

    The whole batch is on that device. Reading images and what the host does are not in
    it. A step that needs more memory than there is has no cycles.

    Raises:
      ConfigError: no compiler, or a topology that it does not know.
      DataError: the step does not compile.
    """
    program, shapes = training_program(spec, recipe, num_rates)
    what = f"a step of {recipe.batch_size} x {recipe.crop_px} px"
    found = expected(what, target, program, shapes, donated=(0,))
    cycles = None if found.cycles is None else sum(found.cycles.values())
    return TrainingEstimate(
        batch_size=recipe.batch_size,
        crop_px=recipe.crop_px,
        num_rates=num_rates,
        network_precision=recipe.precision,
        accumulate=recipe.accumulate,
        remat=recipe.remat,
        precision=target.precision,
        cycles=cycles,
        step_ms=None if cycles is None else target.milliseconds(cycles),
        peak_bytes=found.peak_bytes,
        fits=found.fits(target),
        source=SOURCE,
    )
