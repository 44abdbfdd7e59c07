"""Crops that both sides train on, and the images that they are evaluated on.

python write_data.py PHOTOGRAPHS VAL OUT STEPS SIZE SEED...
"""

import sys
from pathlib import Path

import numpy as np

from rdc.data.image_sets import list_images, readable_images, usable_images
from rdc.training.input import training_batches

train, val, out, steps, size, *seeds = sys.argv[1:]
*_, batch_size, crop_px = (int(number) for number in size.split(","))
images = {path.stem: x for path, x in readable_images(val)}
np.savez(Path(out, "val.npz"), **images)
paths, _ = usable_images(list_images(train), crop_px)
for seed in seeds:
    shape = (int(steps), batch_size, crop_px, crop_px, 3)
    path = Path(out, f"crops_{seed}.npy")
    crops = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    batches = training_batches(
        paths,
        crop_px=crop_px,
        batch_size=batch_size,
        seed=int(seed),
        steps=int(steps),
    )
    for i in range(int(steps)):
        crops[i] = next(batches)
    crops.flush()
