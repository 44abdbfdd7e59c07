"""Records bit costs of TensorFlow Compression's densities, for our tests.

Runs in the environment of the second entropy coder, without the project's packages:

    make tfc
    .venv-tfc/bin/python tests/golden/write_tfc_bits.py

Writes, beside itself, `tfc_bits.npz`: random parameters and values, and the bits that
`NoisyNormal` and `NoisyDeepFactorized` charge for them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_compression as tfc

RECORDED = Path(__file__).with_name("tfc_bits.npz")
COUNT, CHANNELS = 4000, 12


def main() -> None:
    """Writes the file."""
    random = np.random.default_rng(0)
    recorded = {}
    scale = np.exp(random.uniform(np.log(0.11), np.log(256.0), COUNT))
    mean = random.normal(0, 20, COUNT)
    value = mean + scale * random.normal(0, 1.5, COUNT)
    normal = tfc.NoisyNormal(loc=mean, scale=scale)
    recorded["normal/mean"], recorded["normal/scale"] = mean, scale
    recorded["normal/value"] = value
    recorded["normal/bits"] = normal.log_prob(value).numpy() / -np.log(2)

    density = tfc.NoisyDeepFactorized(batch_shape=(CHANNELS,), dtype=tf.float64)
    for variable in density.trainable_variables:
        # Away from the initial values, as training leaves them.
        moved = variable + random.normal(0, 0.3, variable.shape)
        variable.assign(moved)
        recorded[f"factorized/{variable.name.partition(':')[0]}"] = moved.numpy()
    value = random.normal(0, 8, (COUNT // CHANNELS, CHANNELS))
    recorded["factorized/value"] = value
    recorded["factorized/bits"] = density.log_prob(value).numpy() / -np.log(2)
    np.savez_compressed(RECORDED, **recorded)


if __name__ == "__main__":
    main()
