"""One photograph of an asked size, for measurements of time."""

from __future__ import annotations

import numpy as np

from rdc.data.image_sets import Images, readable_images


def photograph(source: Images, height_px: int, width_px: int) -> np.ndarray:
    """A real image of a set, u8[height_px,width_px,3].

    The upper left of the first that is large enough; else of the first, mirrored at its
    borders as often as it takes.

    Raises:
      DataError: no image of the set can be read.
    """
    first = None
    for _, image in readable_images(source):
        first = image if first is None else first
        if image.shape[0] >= height_px and image.shape[1] >= width_px:
            return image[:height_px, :width_px]
    assert first is not None  # a set without readable images has raised
    pads = [
        (0, max(height_px - first.shape[0], 0)),
        (0, max(width_px - first.shape[1], 0)),
        (0, 0),
    ]
    return np.pad(first, pads, "symmetric")[:height_px, :width_px]
