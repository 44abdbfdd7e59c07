"""The picture of a page of docs/results/shipped_models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from tests.benchmarks.shipped_models.classical import AVIF, JPEG, JPEG_444, WEBP, Curve

# Okabe & Ito's colours and shapes, so that nobody needs the colours.
STYLES = {
    JPEG: ("#E69F00", "-"),
    JPEG_444: ("#56B4E9", "--"),
    WEBP: ("#009E73", "-."),
    AVIF: ("#CC79A7", ":"),
}
OURS = "#D55E00"


def draw(
    path: Path,
    name: str,
    ours: Curve,
    curves: Mapping[str, list[Curve]],
    differences: Mapping[str, np.ndarray],
) -> None:
    """Rate and PSNR, means over images, and the difference in rate of each image.

    Args:
      name: of the model.
      ours: means over images at each rate.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for codec, (colour, line) in STYLES.items():
        mean_bpp = np.mean([c.bpp for c in curves[codec]], axis=0)
        mean_psnr_db = np.mean([c.psnr_db for c in curves[codec]], axis=0)
        left.plot(mean_bpp, mean_psnr_db, line, color=colour, label=codec)
    left.plot(ours.bpp, ours.psnr_db, "*-", color=OURS, ms=9, label=f"rdc, {name}")
    left.set(
        xlim=(0, 1.15 * ours.bpp.max()),
        ylim=(ours.psnr_db.min() - 1.5, ours.psnr_db.max() + 1.5),
        xlabel="bits per pixel",
        ylabel="PSNR in dB (RGB)",
        title="Kodak, means over 24 images",
    )
    left.legend(loc="lower right")
    left.grid(alpha=0.3)

    order = np.argsort(differences[JPEG])
    for codec, marker in ((JPEG, "o"), (WEBP, "s"), (AVIF, "^")):
        colour, _ = STYLES[codec]
        right.plot(differences[codec][order], marker, color=colour, label=codec)
    right.axhline(0, color="black", linewidth=0.8)
    right.set_xticks(range(len(order)), [f"{i + 1}" for i in order], fontsize=7)
    right.set(
        xlabel="number of the Kodak image",
        ylabel="per cent; negative: ours is smaller",
        title=f"BD-rate of {name} against the codec",
    )
    right.legend()
    right.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)
