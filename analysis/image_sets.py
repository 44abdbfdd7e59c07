"""Whether two means are over the same images: sets of images and their identities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd


def image_set_ids(images: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Per group of `keys`: the number of `images`, and an id of their names.

    Args:
      images: with a column `image`; endings like `.png` are no part of the name.

    Returns:
      The keys, `images` and `image_set`, 16 hex digits.
    """
    codes, names = pd.factorize(images["image"])
    hashes = _hashes(names)[codes]
    table = images[list(keys)].assign(images=1, image_set=hashes)
    table = table.groupby(list(keys), as_index=False, sort=False).sum()
    sets, distinct = pd.factorize(table["image_set"])
    texts = np.array([f"{value:016x}" for value in distinct], object)
    table["image_set"] = texts[sets] if len(texts) else table["image_set"].astype(str)
    return table


def image_set_id(names: Iterable[str]) -> str:
    """The id that `image_set_ids` gives to these images."""
    return f"{int(_hashes(sorted(set(names))).sum(dtype=np.uint64)):016x}"


def _hashes(names: Iterable[str]) -> np.ndarray:
    """u64 of each name: their sum, modulo 2^64, tells a set whatever its order."""
    stems = [str(name).rsplit(".", 1)[0] for name in names]
    return pd.util.hash_array(np.array(stems, object), categorize=False)
