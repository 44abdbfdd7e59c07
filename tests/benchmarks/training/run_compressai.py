"""CompressAI's side, trained as by its examples/train.py; see protocol.py.

With a further argument `channels_last` in that memory layout.
"""

import math
import os
import sys

import numpy as np
import torch
import unused_packages  # noqa: F401, before CompressAI
from compressai.models import MeanScaleHyperprior
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

torch.set_num_threads(len(os.sched_getaffinity(0)))
n, m, *_ = size()
seed, learning_rate, decay, steps = recipe()
layout = (
    torch.channels_last if sys.argv[-1] == "channels_last" else torch.contiguous_format
)
torch.manual_seed(seed)
model = MeanScaleHyperprior(n, m).train().to(memory_format=layout)
parameters = dict(model.named_parameters())
quantiles = parameters.pop("entropy_bottleneck.quantiles")
optimizer = torch.optim.Adam(parameters.values(), learning_rate)


def relative_rate(step):
    """Of the learning rate, at a step."""
    if decay == "constant":
        return 1.0
    done = max(step / steps - DECAY_START, 0) / (1 - DECAY_START)
    return FINAL_RATIO + (1 - FINAL_RATIO) * (1 + math.cos(math.pi * done)) / 2


schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, relative_rate)
auxiliary_optimizer = torch.optim.Adam([quantiles], 1e-3)


def as_input(x):
    """u8[B,H,W,3] -> f32[B,3,H,W] in [0,1]."""
    x = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    return (x.float() / 255).contiguous(memory_format=layout)


def bits(output):
    return sum(-p.log().sum() / math.log(2) for p in output["likelihoods"].values())


def step(batch):
    x = as_input(batch)
    optimizer.zero_grad()
    auxiliary_optimizer.zero_grad()
    output = model(x)
    bpp = bits(output) / (x.shape[0] * x.shape[2] * x.shape[3])
    mse = torch.nn.functional.mse_loss(output["x_hat"], x)
    (bpp + LMBDA * 255**2 * mse).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
    optimizer.step()
    schedule.step()
    model.aux_loss().backward()
    auxiliary_optimizer.step()


@torch.no_grad()
def evaluate(x):
    model.eval()
    height, width, _ = x.shape
    pads = [(0, -side % 64) for side in (height, width)]
    padded = np.pad(x, [*pads, (0, 0)], mode="edge")
    output = model(as_input(padded[None]))
    x_hat = (output["x_hat"][0] * 255).round().clamp(0, 255).numpy()
    error = x_hat.transpose(1, 2, 0)[:height, :width] - x
    mse_255 = float(np.mean(np.square(error, dtype=np.float64)))
    return {
        "bpp": float(bits(output)) / (height * width),
        "mse_255": mse_255,
        "psnr_db": 10 * math.log10(255**2 / mse_255),
    }


if sys.argv[1] == "speed":
    serve_speed(step, lambda: None)
else:
    train(step, evaluate)
