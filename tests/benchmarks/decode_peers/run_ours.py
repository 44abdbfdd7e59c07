"""Our side: the codec's own stage `network`, in floating point; see protocol.py.

With a further argument, every upsampling in that form.
"""

import os
import sys
from contextlib import ExitStack

from protocol import HEIGHT_PX, THREADS, WIDTH_PX, serve

# Before JAX: XLA makes as many threads as there are processors.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])

import numpy as np  # noqa: E402

from rdc.architectures import NAMED, build  # noqa: E402
from rdc.codec import LearnedCodec  # noqa: E402
from rdc.complexity import count  # noqa: E402
from rdc.ops.convolution import fixed_convolution_forms  # noqa: E402
from rdc.specs.components import ArchitectureSpec  # noqa: E402
from rdc.system.host_memory import keep_freed_memory  # noqa: E402
from rdc.transforms.elic import ElicTransform  # noqa: E402

keep_freed_memory()  # as `rdc decompress` and the workers of sweeps do
ARCHITECTURES = {
    "conv": NAMED["mbt2018_mean"],
    "elic": ArchitectureSpec(
        transform=ElicTransform(),
        entropy_model=NAMED["mbt2018_mean"].entropy_model,
        hyper_transform=NAMED["mbt2018_mean"].hyper_transform,
    ),
    "swint": NAMED["rdc_e"],
    "charm": NAMED["minnen2020_charm"],
}
NETWORKS = ("hyper_synthesis", "entropy_model", "synthesis_transform")

architecture = ARCHITECTURES[sys.argv[1]]
costs = count(architecture, HEIGHT_PX, WIDTH_PX).by_component
macs = sum(
    round(cost.macs_per_px * HEIGHT_PX * WIDTH_PX)
    for cost in costs
    if cost.side == "decode" and cost.component in NETWORKS
)
codec = LearnedCodec.of(build(architecture), numerics="native")
random = np.random.default_rng(0)
image = random.integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)
with ExitStack() as stack:
    for form in sys.argv[2:]:
        stack.enter_context(fixed_convolution_forms(form))
    serve(macs, codec.decoding_stages([codec.encode(image)])["network"])
