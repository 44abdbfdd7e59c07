"""Our side: `rdc.training.step` and the codec's own evaluation; see protocol.py."""

import sys

import jax
from flax import nnx
from protocol import (
    CLIP_NORM,
    DECAY_START,
    FINAL_RATIO,
    LMBDA,
    recipe,
    serve_speed,
    size,
    train,
)

from rdc.architectures import build
from rdc.codec import LearnedCodec
from rdc.entropy_models.mean_scale_hyperprior import MeanScaleHyperprior
from rdc.hyper_transforms.conv import ConvHyperTransform
from rdc.measurements.evaluation import measured
from rdc.specs.components import ArchitectureSpec
from rdc.specs.recipe import Recipe
from rdc.system.host_memory import keep_freed_memory
from rdc.training.step import compiled_step, initial_state
from rdc.transforms.conv import ConvTransform

keep_freed_memory()
n, m, batch_size, crop_px = size()
seed, learning_rate, decay, steps = recipe()
architecture = ArchitectureSpec(
    transform=ConvTransform(channels=(n, n, n), latent_channels=m, gdn_form="original"),
    entropy_model=MeanScaleHyperprior(),
    hyper_transform=ConvHyperTransform(
        analysis_channels=(n, n, n), synthesis_channels=(m, m * 3 // 2)
    ),
)
settings = Recipe(
    steps=steps,
    batch_size=batch_size,
    crop_px=crop_px,
    learning_rate=learning_rate,
    decay=decay,
    decay_start=DECAY_START,
    final_learning_rate_ratio=FINAL_RATIO,
    clip_norm=CLIP_NORM,
    seed=seed,
)
model = build(architecture, seed=seed)
state = initial_state(model, settings)
jitted_step = compiled_step(model, settings)
key = jax.random.key(seed)


def step(batch):
    global state
    state, _ = jitted_step(state, batch, LMBDA, key)


def evaluate(x):
    global codec
    if codec is None:
        nnx.update(model, state.params)
        codec = LearnedCodec.of(model)
    row = measured(codec, "", x, codec.operating_points[0])
    return {
        "bpp": row.bpp_estimated,
        "bpp_coded": row.bpp_coded,
        "mse_255": row.metrics["mse_255"],
        "psnr_db": row.metrics["psnr_db"],
    }


codec = None
if sys.argv[1] == "speed":
    serve_speed(step, lambda: jax.block_until_ready(state))
else:
    train(step, evaluate)
