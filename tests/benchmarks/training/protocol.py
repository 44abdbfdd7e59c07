"""What the two sides share; imports NumPy alone, as each has its own packages.

    run_SIDE.py speed SIZE
        reads a number of steps a line and answers each line with the seconds that the
        steps took, of the wall clock and of all processors together
    run_SIDE.py train SIZE DATA SEED LEARNING_RATE DECAY
        trains on DATA/crops_SEED.npy and prints the means over the images of
        DATA/val.npz as JSON; DECAY is constant, or cosine in the second half

SIZE is N,M,BATCH,CROP_PX.
"""

import json
import sys
import time

import numpy as np

LMBDA = 0.0125
CLIP_NORM = 1.0
DECAY_START = 0.5
FINAL_RATIO = 0.01  # of the learning rate, where it decays


def size():
    """(N, M, batch_size, crop_px) of the command line."""
    return tuple(int(number) for number in sys.argv[2].split(","))


def serve_speed(step, finish):
    """Times as many calls of `step(batch)` as each line of standard input asks for."""
    *_, batch_size, crop_px = size()
    shape = (batch_size, crop_px, crop_px, 3)
    batch = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for line in sys.stdin:
        start, start_cpu = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            step(batch)
        finish()
        seconds = time.perf_counter() - start, time.process_time() - start_cpu
        print(*seconds, flush=True)


def train(step, evaluate):
    """Trains on the crops of the seed, then prints the means of `evaluate(x)` rows."""
    folder, seed = sys.argv[3], sys.argv[4]
    crops = np.load(f"{folder}/crops_{seed}.npy", mmap_mode="r")
    start = time.perf_counter()
    for number, batch in enumerate(crops, 1):
        step(np.array(batch))
        if number % 100 == 0:
            seconds = time.perf_counter() - start
            print(f"step {number}, {number / seconds:.2f}/s", file=sys.stderr)
    images = np.load(f"{folder}/val.npz")
    rows = [evaluate(images[name]) for name in images.files]
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    means["rd_loss"] = means["bpp"] + LMBDA * means["mse_255"]
    print(json.dumps(means))


def recipe():
    """(seed, learning_rate, decay, steps) of the command line."""
    if sys.argv[1] == "speed":
        return 0, 1e-4, "constant", 1
    steps = len(np.load(f"{sys.argv[3]}/crops_{sys.argv[4]}.npy", mmap_mode="r"))
    return int(sys.argv[4]), float(sys.argv[5]), sys.argv[6], steps
