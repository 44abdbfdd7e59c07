"""Made pictures with something in them, in the layouts of VOC and COCO."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 40, 52
BOX = tuple[int, int, int, int]  # left, top, width, height in pixels


def picture(seed: int) -> tuple[np.ndarray, BOX]:
    """Dark noise with a bright rectangle: u8[HEIGHT,WIDTH,3] and where it lies.

    It is white where the seed is even, red where it is odd.
    """
    random = np.random.default_rng(seed)
    image = random.integers(0, 60, (HEIGHT, WIDTH, 3), np.uint8)
    left, top = (int(n) for n in random.integers(4, 18, 2))
    width, height = (int(n) for n in random.integers(14, 20, 2))
    colour = np.asarray([160, 0, 0] if seed % 2 else [160] * 3, np.uint8)
    image[top : top + height, left : left + width] += colour
    return image, (left, top, width, height)


def write_voc(root: Path, count: int, split: str = "train") -> None:
    """Rectangles are of class 1, with a void border of a pixel inside."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for i in range(count):
        image, (left, top, width, height) = picture(i)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[top : top + height, left : left + width] = 255
        mask[top + 1 : top + height - 1, left + 1 : left + width - 1] = 1
        Image.fromarray(image).save(root / f"JPEGImages/{i}.jpg", quality=95)
        palette = Image.fromarray(mask).convert("P")
        palette.putdata(mask.ravel().tolist())
        palette.putpalette([(7 * n) % 256 for n in range(768)])  # colours say nothing
        palette.save(root / f"SegmentationClass/{i}.png")
    names = "".join(f"{i}\n" for i in range(count))
    (root / f"ImageSets/Segmentation/{split}.txt").write_text(names)


def write_coco(root: Path, count: int) -> dict[str, Any]:
    """White rectangles are of category 7, red ones of category 3.

    Returns:
      What it wrote to `instances.json`, beside the folder `images`.
    """
    (root / "images").mkdir()
    images, annotations = [], []
    for i in range(count):
        image, box = picture(i)
        name = f"{i:04}.png"
        Image.fromarray(image).save(root / "images" / name)
        images.append(
            {"id": 100 + i, "file_name": name, "height": HEIGHT, "width": WIDTH}
        )
        annotations.append(
            {
                "id": i + 1,
                "image_id": 100 + i,
                "category_id": 3 if i % 2 else 7,
                "bbox": [float(n) for n in box],
                "area": float(box[2] * box[3]),
                "iscrowd": 0,
            }
        )
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 7, "name": "late"}, {"id": 3, "name": "early"}],
    }
    (root / "instances.json").write_text(json.dumps(content))
    return content
