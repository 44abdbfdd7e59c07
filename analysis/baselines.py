"""Published rate-distortion points of other codecs, with their sources.

`baselines/kodak.csv` holds the numbers as published: PSNR in RGB, mean over the 24
Kodak images. They compare with own points on the same 24 images and with nothing else.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd

from rdc.errors import ConfigError

KODAK_IMAGES = frozenset(f"kodim{n:02d}" for n in range(1, 25))

# Those that reports draw and compare with, in drawing order: codec id to what a reader
# calls it. The others give `analysis.reference_points` their curves.
LABELS = {
    "bpg444-tfc": "BPG 4:4:4",
    "vtm-compressai": "VTM",
    "minnen-2020-icip-tfc": "CHARM (Minnen 2020)",
    "paper-elic2022_mse": "ELIC (He 2022)",
}


@cache
def kodak() -> pd.DataFrame:
    """Columns `codec label quality bpp psnr_db source_repo source_path
    source_commit notes`, bpp ascending within a codec."""
    path = Path(__file__).with_name("baselines") / "kodak.csv"
    points = pd.read_csv(path, dtype={"quality": "string"})
    labels = points["codec"].map(LABELS).fillna(points["codec"])
    points.insert(1, "label", labels)
    return points.sort_values(["codec", "bpp"], ignore_index=True)


def kodak_curve(codec: str) -> pd.DataFrame:
    """The points of one codec, bpp ascending."""
    points = kodak()
    known = list(points["codec"].unique())
    if codec not in known:
        raise ConfigError("unknown baseline", repr(codec), f"known: {known}")
    return points[points["codec"] == codec].reset_index(drop=True)


@cache
def cool_chic() -> pd.DataFrame:
    """Cool-chic 5.0, image by image: `codec image lmbda bpp psnr_db source_repo
    source_path source_commit`."""
    return pd.read_csv(Path(__file__).with_name("baselines") / "cool_chic_kodak.csv")


def is_kodak(images: set[str]) -> bool:
    """Whether these image names are the 24 Kodak images, all and no others."""
    return {name.rsplit(".", 1)[0] for name in images} == KODAK_IMAGES
