"""One short training of a variant on one core, and what it is worth on `val`.

    python -m tests.benchmarks.recipes.trial DATA ROWS STUDY [VARIANT ...]

takes the trials of a study one by one and adds a JSON line per model to the file ROWS;
trials that are there already are not trained again. The process pins itself to one
core. A trial has a budget of processor seconds: the time of a step is measured first,
input and optimiser included, and the steps and with them the schedule are set by it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

CORE = int(os.environ.get("RDC_BENCHMARK_CORE", "0"))
os.sched_setaffinity(0, {CORE})
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
)

import jax  # noqa: E402  (after the core is chosen)
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from flax import nnx  # noqa: E402

from rdc.architectures import build  # noqa: E402
from rdc.data.crops import CropBatches, CropSource  # noqa: E402
from rdc.data.image_sets import list_images, usable_images  # noqa: E402
from rdc.data.images import read_image  # noqa: E402
from rdc.model import run_coding_steps  # noqa: E402
from rdc.ops.distortions import mse_255  # noqa: E402
from rdc.ops.gaussian import bounded  # noqa: E402
from rdc.specs.recipe import Recipe  # noqa: E402
from rdc.system.host_memory import keep_freed_memory  # noqa: E402
from rdc.system.user_cache import compilation_cache  # noqa: E402
from rdc.training.input import training_images  # noqa: E402
from rdc.training.networks import prepare  # noqa: E402
from rdc.training.start import (  # noqa: E402
    START_CROPS,
    start_from_principal_components,
)
from rdc.training.step import training_loss  # noqa: E402
from tests.benchmarks.recipes import optimisers  # noqa: E402
from tests.benchmarks.recipes.variants import (  # noqa: E402
    ARCHITECTURES,
    AVERAGES,
    LMBDA,
    STUDIES,
    Trial,
)

CROP_PX = 384  # of the middle of every second image of `val`
TIMED_STEPS, BURSTS = 4, 9


class Workshop:
    """Photographs and compiled functions that trials share."""

    def __init__(self, data: Path, rows: Path):
        self.rows = rows
        paths, _ = usable_images(list_images(data / "train"), 256)
        self.images = training_images(paths)
        val = [read_image(path) for path in list_images(data / "val")[::2]]
        margins = [[(side - CROP_PX) // 2 for side in x.shape[:2]] for x in val]
        self.val = [
            x[top : top + CROP_PX, left : left + CROP_PX]
            for x, (top, left) in zip(val, margins, strict=True)
        ]
        self.seconds: dict[Any, float] = {}
        self.first: dict[str, tuple[Any, Burst]] = {}
        self.models: dict[str, Any] = {}

    def crops(self, recipe: Recipe, batches: int) -> CropBatches:
        crops = CropSource(
            self.images,
            recipe.crop_px,
            recipe.seed,
            batches * recipe.batch_size,
            flips=recipe.flips,
            upscaling=recipe.upscaling,
        )
        return CropBatches(crops, recipe.batch_size)

    def start(self, trial: Trial) -> Any:
        """The model before the first step."""
        recipe = trial.recipe
        model = build(ARCHITECTURES[trial.architecture], seed=recipe.seed)
        if trial.init_from:
            optimisers.copy_corner(self.models[trial.init_from], model)
        elif recipe.start == "principal_components":
            plain = replace(recipe, batch_size=START_CROPS, flips=False, upscaling=1.0)
            start_from_principal_components(model, self.crops(plain, 1)[0], LMBDA)
        return model


@cache
def gradients(graph: nnx.GraphDef, precision: str) -> Any:
    """Of the loss, compiled apart from the optimiser: variants share it."""

    def loss(params: Any, batch: jax.Array, key: jax.Array, lmbda: jax.Array) -> Any:
        model = nnx.merge(graph, params)
        prepare(model, precision, False)
        return training_loss(model, batch.astype(jnp.float32) / 255, key, lmbda)

    return jax.jit(jax.grad(loss, has_aux=True))


@cache
def evaluation(graph: nnx.GraphDef) -> Any:
    """(bpp, MSE) of one image with rounded latents, as `rdc evaluate` estimates."""

    @jax.jit
    def run(params: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        model = nnx.merge(graph, params)
        latents = {"y": model.analysis_transform(x[None].astype(jnp.float32) / 255)}
        if model.hyper_analysis is not None:
            latents["z"] = model.hyperlatents(latents["y"])
        bits = []

        def code(step: Any, parameters: Any) -> jax.Array:
            symbols = step.symbols(step.select(latents[step.latent]), parameters)
            symbols = jnp.round(symbols)
            bits.append(jnp.sum(bounded(step.bits(symbols, parameters))))
            return step.values(symbols, parameters)

        x_hat = model.synthesis_transform(run_coding_steps(model, code))
        rounded = jnp.round(255 * jnp.clip(x_hat, 0, 1)) / 255
        pixels = x.shape[0] * x.shape[1]
        return sum(bits) / pixels, mse_255(x[None].astype(jnp.float32) / 255, rounded)

    return run


def averaged(average: Any, params: Any, decay: jax.Array) -> Any:
    return jax.tree.map(lambda a, p: p + decay * (a - p), average, params)


class Burst:
    """Some steps of a trial that is trained for their time alone."""

    def __init__(self, step: Any, batches: CropBatches, carry: Any):
        self._step, self._batches, self._carry = step, batches, carry
        self._number = 0

    def seconds(self) -> float:
        """Of the processor, per step."""
        started = time.process_time()
        for _ in range(TIMED_STEPS):
            batch = self._batches[self._number]
            self._carry, _ = self._step(self._carry, batch, self._number)
            self._number += 1
        jax.block_until_ready(self._carry)
        return (time.process_time() - started) / TIMED_STEPS


def run(workshop: Workshop, trial: Trial) -> None:
    model = workshop.start(trial)
    graph, params = nnx.split(model)
    recipe = trial.recipe
    key = jax.random.key(recipe.seed)
    gradient = gradients(graph, recipe.precision)

    def step_of(recipe: Recipe) -> tuple[Any, Any]:
        transformation = optimisers.OPTIMISERS[trial.optimiser](recipe)

        def update(
            params: Any, state: Any, averages: Any, gradient: Any, number: Any
        ) -> Any:
            steps, state = transformation.update(gradient, state, params)
            params = optax.apply_updates(params, steps)
            averages = [
                averaged(
                    average, params, jnp.minimum(decay, (1 + number) / (10 + number))
                )
                for decay, average in zip(AVERAGES, averages, strict=True)
            ]
            return params, state, averages

        compiled = jax.jit(update, donate_argnums=(0, 1, 2))

        def step(carry: Any, batch: np.ndarray, number: int) -> Any:
            keys = jax.random.fold_in(key, number)
            g, metrics = gradient(carry[0], batch, keys, trial.lmbda)
            return compiled(*carry, g, jnp.float32(number)), metrics

        def fresh() -> Any:
            own = jax.tree.map(jnp.copy, params)
            return (
                own,
                transformation.init(own),
                [jax.tree.map(jnp.copy, params) for _ in AVERAGES],
            )

        return step, fresh

    # Seconds per step, of crops, gradients and optimiser together. Other work on the
    # machine changes them with time: a kind counts by its ratio to the first one of
    # its architecture, of which bursts of steps are timed in turns with its own.
    kind = trial.speed_kind()
    if trial.steps is None and kind not in workshop.seconds:
        step, fresh = step_of(replace(recipe, steps=10_000))
        burst = Burst(step, workshop.crops(recipe, 1000), fresh())
        burst.seconds()  # compiles
        first = workshop.first.setdefault(trial.architecture, (kind, burst))
        turns = [(burst.seconds(), first[1].seconds()) for _ in range(BURSTS)]
        if first[1] is burst:
            workshop.seconds[kind] = median(own for own, _ in turns)
        else:
            ratio = median(own / other for own, other in turns)
            workshop.seconds[kind] = ratio * workshop.seconds[first[0]]
    seconds = workshop.seconds.get(kind, 0.0)
    steps = trial.steps or round(trial.seconds / seconds)
    recipe = replace(recipe, steps=steps, warmup_steps=min(recipe.warmup_steps, steps))
    step, fresh = step_of(recipe)
    batches, carry = workshop.crops(recipe, steps), fresh()
    carry, _ = step(carry, batches[0], 0)  # compiles
    carry = fresh()
    losses = []
    started, wall = time.process_time(), time.perf_counter()
    for number in range(steps):
        carry, metrics = step(carry, batches[number], number)
        if number % 20 == 19 or number >= steps - 100:
            losses.append(float(metrics["loss"]))
    jax.block_until_ready(carry)
    took, wall = time.process_time() - started, time.perf_counter() - wall
    results = dict(zip(["0", *map(str, AVERAGES)], [carry[0], *carry[2]], strict=True))
    if trial.optimiser == "schedule_free":
        results = {"0": optax.contrib.schedule_free_eval_params(carry[1][1], carry[0])}
    workshop.models[trial.name] = nnx.merge(graph, results["0"])
    for average, weights in results.items():
        values = [evaluation(graph)(weights, x) for x in workshop.val]
        bpp, mse = np.mean(np.asarray(values, float), axis=0)
        row = {
            "variant": trial.variant,
            "architecture": trial.architecture,
            "seed": recipe.seed,
            "ema": average,
            "steps": steps,
            "batch": recipe.batch_size,
            "crop_px": recipe.crop_px,
            "steps_per_second": steps / took,
            "processor_seconds": took,
            "wall_seconds": wall,
            "train_loss": float(np.mean(losses[-100:])),
            "bpp": bpp,
            "mse_255": mse,
            "rd_loss": bpp + LMBDA * mse,
        }
        with workshop.rows.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(
            f"{trial.name:42s} ema {average:5s} {steps:5d} steps {took:5.1f} s "
            f"(wall {wall:.0f}) bpp {bpp:.4f} rd {row['rd_loss']:.4f}",
            flush=True,
        )


def main(data: Path, rows: Path, study: str, only: list[str]) -> None:
    os.environ |= compilation_cache()
    for name, value in compilation_cache().items():
        jax.config.update(name.lower(), value)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    keep_freed_memory()
    done = set()
    if rows.exists():
        for line in rows.read_text().splitlines():
            row = json.loads(line)
            done.add((row["variant"], row["architecture"], row["seed"]))
    workshop = Workshop(data, rows)
    for trial in STUDIES[study]():
        if trial.identity in done or (only and trial.variant not in only):
            continue
        run(workshop, trial)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
