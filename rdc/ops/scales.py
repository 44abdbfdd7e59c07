"""The log-spaced scales of the Gaussian tables, for networks and coder alike.

As in TensorFlow Compression: 64 levels from 0.11 to 256. `scale_index` counts them.
"""

NUM_SCALES = 64
MIN_SCALE = 0.11
MAX_SCALE = 256.0
