"""Small images that the tests of input write."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_images(folder: Path, count: int, side_px: int = 48) -> list[Path]:
    """`count` different PNG files of noise, side_px high and a little wider."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:03}.png" for number in range(count)]
    for number, path in enumerate(paths):
        random = np.random.default_rng(number)
        shape = (side_px, side_px + number % 5, 3)
        Image.fromarray(random.integers(0, 256, shape, np.uint8)).save(path)
    return paths


def damage(path: Path) -> None:
    """Overwrites the middle of a file, so that only decoding shows it."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 500] = bytes(500)
    path.write_bytes(data)
