"""Training of one architecture, from the first step or a checkpoint to the last.

A process trains one model, or several that are equal but for their rates. Each has its
own folder, checkpoints, journal and summary, and can go on alone or with the others.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.architectures import build, resolve
from rdc.codec.exported import ExportedModel, load_exported
from rdc.data.image_sets import Images, data_sha256, image_files, usable_images
from rdc.errors import ConfigError, DivergedError
from rdc.model import CompressionModel
from rdc.specs.base import require
from rdc.specs.checkpoint import CheckpointSpec
from rdc.specs.components import ArchitectureSpec
from rdc.specs.model import ModelSpec
from rdc.specs.recipe import Recipe
from rdc.system.host import on_the_cpu
from rdc.system.stop_request import stop_request
from rdc.training.checkpoints import Checkpoints, CheckpointTimer
from rdc.training.course import Course, Part
from rdc.training.devices import DataParallel
from rdc.training.input import training_batches, training_images
from rdc.training.journal import Journal
from rdc.training.mask_decay import TIME_CONSTANTS, MaskDecay
from rdc.training.member import Member, Progress, TrainedModel, Training
from rdc.training.methods import Weights
from rdc.training.start import (
    START_CROPS,
    middle_lmbda,
    start_from_principal_components,
)
from rdc.training.step import TrainState
from rdc.training.summary import CHECKPOINT_FOLDER

_log = logging.getLogger(__name__)


def train(
    architecture: ArchitectureSpec | str,
    recipe: Recipe,
    rates: Sequence[float],
    images: Images,
    folder: str | Path,
    *,
    checkpoint: CheckpointSpec | None = None,
    accumulate: int = 1,
    resume_from: Sequence[str | Path] = (),
    init_from: str | Path | None = None,
) -> TrainedModel:
    """Trains a model and writes metrics and checkpoints into `folder`.

    Args:
      architecture: or the name of one.
      rates: its values of lambda, loss = bpp + lambda * distortion.
      images: a set as `rdc.data.image_sets.list_images` takes it, or a list of paths.
      checkpoint: when its state is saved.
      accumulate: multiplies `recipe.accumulate`, where a device is short of memory; the
        result is the same up to rounding.
      resume_from: folders of earlier trainings of this model, newest last. It goes on
        from their newest readable checkpoint; the result is then bit-equal to that of
        an undisturbed training on the same device.
      init_from: the folder of an exported model whose weights it starts from.

    Raises:
      ConfigError: an impossible model.
      DataError: no usable images.
      DivergedError: steps stay non-finite after one return to a checkpoint.
      PreemptedError: SIGTERM came; a checkpoint was written.
    """
    start = None if init_from is None else _run_id(load_exported(Path(init_from)))
    spec = ModelSpec(
        architecture=resolve(architecture),
        recipe=recipe,
        rates=tuple(rates),
        data_sha256=data_sha256(images),
        init_from=start,
    )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (outcome,) = train_together(
        [Training(spec, folder, tuple(map(Path, resume_from)))],
        images,
        checkpoint=checkpoint,
        accumulate=accumulate,
        init_from=init_from,
    )
    if isinstance(outcome, DivergedError):
        raise outcome
    return outcome


def train_together(
    trainings: Sequence[Training],
    images: Images,
    *,
    checkpoint: CheckpointSpec | None = None,
    accumulate: int = 1,
    init_from: str | Path | None = None,
) -> list[TrainedModel | DivergedError]:
    """Trains models that are equal but for their rates; one outcome per model.

    They resume from the newest step of which all have a readable checkpoint. One of
    several that diverges leaves, and the others go on. Arguments are those of `train`.

    Raises:
      ConfigError: the models differ in more than their rates.
      DataError, PreemptedError: as `train`.
    """
    spec = trainings[0].spec
    _check_alike([training.spec for training in trainings])
    checkpoint = checkpoint or CheckpointSpec()
    recipe = spec.recipe
    accumulate = micro_batches(recipe, accumulate)
    paths, skipped = usable_images(image_files(images), recipe.crop_px)
    source = training_images(paths)

    def batches(batch_size: int, rows: range | None = None) -> Any:
        return training_batches(
            source,
            crop_px=recipe.crop_px,
            batch_size=batch_size,
            rows=rows,
            seed=recipe.seed,
            steps=recipe.steps,
            flips=recipe.flips,
            upscaling=recipe.upscaling,
        )

    decay = None
    with on_the_cpu():
        if recipe.start == "principal_components":
            crops = next(batches(START_CROPS))
            models = [_transform_codec(training.spec, crops) for training in trainings]
        elif spec.init_from is None or recipe.method == "mask_decay":
            models = [_random_model(training.spec) for training in trainings]
        else:
            models = [_initial_model(each.spec, init_from) for each in trainings]
        if recipe.method == "mask_decay":
            decay = _decay(spec, _given(spec, init_from).model, models[0])
    rest = replace(recipe, steps=recipe.steps - recipe.masked_steps)
    parts = [
        Part(model, rest, _trained(model, recipe), recipe.masked_steps)
        for model in models
    ]
    devices = DataParallel(recipe.batch_size // accumulate)
    with ExitStack() as stack:
        members = [
            Member(
                training.spec,
                Checkpoints(
                    training.folder / CHECKPOINT_FOLDER,
                    [path / CHECKPOINT_FOLDER for path in training.resume_from],
                    training.spec.run_id,
                    checkpoint.keep,
                ),
                stack.enter_context(
                    Journal(training.folder, recipe.steps, bar=number == 0)
                ),
            )
            for number, training in enumerate(trainings)
        ]
        settings: dict[str, Any] = {
            "accumulate": accumulate,
            "devices": devices,
            "batches": batches(recipe.batch_size, devices.rows(recipe.batch_size)),
            "timer": CheckpointTimer(checkpoint),
            "stop": stack.enter_context(stop_request()),
        }
        states = restored_on_all(members, _fresh(parts), devices, parts[0])
        if decay is not None and not members[0].resumed_from:
            (member,) = members
            earlier = restored_on_all(members, _fresh([decay]), devices, decay)
            _log.info("step %d of %d, with masks", member.resumed_from, recipe.steps)
            Course(decay, members, **settings).to_the_end(earlier)
            assert member.final is not None
            assert isinstance(decay.method, MaskDecay)
            try:
                merged = decay.method.merged(jax.device_get(member.final.params))
            except DivergedError as error:
                return [error]
            parts = [replace(parts[0], model=merged)]
            states = _fresh(parts)
        else:
            _log.info("step %d of %d", members[0].resumed_from, recipe.steps)
        Course(parts[0], members, **settings).to_the_end(states)
    counts = {
        "accumulate": accumulate,
        "hosts": devices.hosts,
        "devices": devices.count,
        "models_together": len(members),
        "skipped_images": len(skipped) + len(source.damaged),
    }
    model = parts[0].model
    return [member.diverged or member.trained(model, **counts) for member in members]


def _fresh(parts: Sequence[Part]) -> list[TrainState]:
    """States before the first step, each its own: a step gives its state away."""
    with on_the_cpu():
        fresh = [part.fresh() for part in parts]
    return jax.device_put(fresh, jax.local_devices()[0], may_alias=False)


def _trained(model: CompressionModel, recipe: Recipe) -> Weights:
    """What a training without masks changes."""
    return Weights(model.last_encoder if recipe.trained == "encoder" else ())


def _decay(
    spec: ModelSpec, teacher: CompressionModel, student: CompressionModel
) -> Part:
    """The steps in which a teacher becomes the student."""
    recipe, steps = spec.recipe, spec.recipe.masked_steps
    require(
        0 < steps < recipe.steps,
        "some steps are with masks and some without (train.decay_share)",
        f"{steps} of {recipe.steps}",
    )
    rate = recipe.decay_rate or TIME_CONSTANTS / steps
    networks = student.last_encoder if recipe.trained == "encoder" else ()
    method = MaskDecay(teacher, student, rate, steps, networks)
    constant = replace(recipe, steps=steps, decay="constant", ema=0.0)
    return Part(teacher, constant, method)


def _check_alike(specs: Sequence[ModelSpec]) -> None:
    if len({spec.curve_id for spec in specs}) > 1:
        raise ConfigError(
            "models that are trained together differ in their rates alone",
            ", ".join(spec.run_id for spec in specs),
        )


def _run_id(exported: ExportedModel) -> str:
    """Of the training that made a model; the model's own id where nobody noted it."""
    return exported.provenance.get("run_id", exported.identity)


def _given(spec: ModelSpec, folder: str | Path | None) -> ExportedModel:
    """The model that `spec.init_from` names."""
    rule = f"a training that starts from model {spec.init_from} is given its folder"
    if folder is None:
        raise ConfigError(rule, None)
    exported = load_exported(Path(folder))
    require(_run_id(exported) == spec.init_from, rule, f"that of {_run_id(exported)}")
    spec.check_teacher(exported.model.spec, len(exported.operating_points))
    return exported


def _initial_model(spec: ModelSpec, folder: str | Path | None) -> CompressionModel:
    """The weights of the model that `spec.init_from` names."""
    exported = _given(spec, folder)
    if exported.model.spec.encoders < spec.architecture.encoders:
        exported = replace(exported, model=_with_encoder(exported.model, spec))
    if len(spec.rates) == len(exported.operating_points):
        return exported.model
    return _with_gains(exported, spec)


def _with_encoder(model: CompressionModel, spec: ModelSpec) -> CompressionModel:
    """One encoder more, at first equal to the first one: so is y, their mean."""
    more = build(replace(model.spec, encoders=model.spec.encoders + 1), 0, spec.rates)
    nnx.update(more, nnx.state(model))
    first = nnx.state(more.analysis_transform)
    nnx.update(more.extra_encoders[-1], jax.tree.map(jnp.copy, first))
    return more


def _with_gains(exported: ExportedModel, spec: ModelSpec) -> CompressionModel:
    """A model of one rate with gains for several, which are 1 at its own lambda."""
    model = _random_model(spec)
    assert model.gains is not None
    (point,) = exported.operating_points
    if point.lmbda is not None:
        model.gains.scale(0.5 * math.log(middle_lmbda(spec.rates) / point.lmbda))
    nnx.update(model, nnx.state(exported.model))
    return model


def micro_batches(recipe: Recipe, factor: int) -> int:
    """The first divisor of the batch from `factor` times the recipe's number on."""
    least = min(recipe.accumulate * factor, recipe.batch_size)
    divisors = range(least, recipe.batch_size + 1)
    return next(n for n in divisors if recipe.batch_size % n == 0)


def _transform_codec(spec: ModelSpec, crops: np.ndarray) -> CompressionModel:
    """The model as `rdc.training.start` begins it, for its own rates."""
    model = _random_model(spec)
    start_from_principal_components(model, crops, middle_lmbda(spec.rates))
    return model


def _random_model(spec: ModelSpec) -> CompressionModel:
    return build(spec.architecture, seed=spec.recipe.seed, rates=spec.rates)


def _say_why_at_the_start(members: Sequence[Member], some: bool) -> None:
    """Of trainings that had checkpoints and do not go on from them."""
    for member in members:
        reasons = list(member.checkpoints.refused)
        if some:
            reasons.append("no step has checkpoints of all models")
        if reasons:
            member.restarted_because = "; ".join(reasons)
            _log.warning("from the start: %s", member.restarted_because)


def restored_on_all(
    members: Sequence[Member],
    fresh: Sequence[TrainState],
    devices: DataParallel,
    part: Part,
) -> list[TrainState]:
    """`restore_together` in the process that leads; the others get what it found."""
    found_here = partial(restore_together, members, fresh, part.end, part.before)
    states = found_here() if devices.leads else list(fresh)
    for member in members:
        found = asdict(member.progress), member.resumed_from
        progress, member.resumed_from = devices.values_from_first(found)
        member.progress = Progress(**progress)
    return devices.from_first(states)


def restore_together(
    members: Sequence[Member],
    fresh: Sequence[TrainState],
    at_most: int | None = None,
    above: int = -1,
) -> list[TrainState]:
    """A state per member, all of the newest step that every member can read.

    Args:
      fresh: of each member, before its first step; one that is its own.
      at_most, above: of which steps, as of `Checkpoints.restore`.
    """
    while True:
        found = [
            member.checkpoints.restore(like, at_most, above)
            for member, like in zip(members, fresh, strict=True)
        ]
        readable = [checkpoint for checkpoint in found if checkpoint is not None]
        if len(readable) < len(members):
            _say_why_at_the_start(members, bool(readable))
            return list(fresh)
        steps = {int(state.step) for state, _ in readable}
        if len(steps) == 1:
            for member, (_, progress) in zip(members, readable, strict=True):
                member.progress, member.resumed_from = Progress(**progress), min(steps)
            return [state for state, _ in readable]
        at_most = min(steps)
