"""Photographs that ship inside packages we depend on: the data without a network."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from rdc.errors import DataError

# Real photographs only; the two halves share no scene.
_PHOTOGRAPHS = {
    "train": (
        ("skimage", "data/astronaut.png"),
        ("skimage", "data/coffee.png"),
        ("skimage", "data/hubble_deep_field.jpg"),
        ("skimage", "data/motorcycle_left.png"),
        ("skimage", "data/rocket.jpg"),
        ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    ),
    "eval": (
        ("skimage", "data/chelsea.png"),
        ("sklearn", "datasets/images/china.jpg"),
        ("sklearn", "datasets/images/flower.jpg"),
    ),
}
SPLITS = tuple(_PHOTOGRAPHS)


def bundled_images(split: str) -> list[Path]:
    """The photographs of `split`, "train" or "eval" (held out).

    Raises:
      DataError: a package that should hold one is not installed as it was.
    """
    paths = [_package_folder(package) / name for package, name in _PHOTOGRAPHS[split]]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"bundled:{split} needs the photographs inside installed packages",
            f"no {missing[0]}",
            "install the pinned packages with `make install`, or name a folder",
        )
    return paths


def _package_folder(package: str) -> Path:
    spec = find_spec(package)  # finds without importing
    locations = spec.submodule_search_locations if spec else None
    return Path(next(iter(locations))) if locations else Path(package)
