"""Names that a person can say: of architectures that nobody named.

An architecture without a name is called by its family and by what differs within it,
`conv/hyperprior:conv 32/48/64`; where that is long, by its decoder's FLOPs per pixel,
`conv/hyperprior:conv at 44.7k`. The same everywhere: plots, tables, terminal.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

_LONGEST = 14  # characters of what differs


def configurations(architectures: pd.DataFrame) -> pd.Series:
    """Per `arch_id`: the fields in which its family's members differ, `key=value`.

    Args:
      architectures: the table of that name.
    """
    return _differing(architectures).map(
        lambda fields: ", ".join(f"{key}={value}" for key, value in fields.items())
    )


def labels(architectures: pd.DataFrame) -> pd.Series:
    """Per `arch_id`: its name, or what it is called by; no two are alike."""
    table = architectures.set_index("arch_id")
    said = _differing(architectures).map(lambda fields: " ".join(fields.values()))
    cost = table["kflops_per_px"].map("at {:.3g}k".format, na_action="ignore")
    said = said.mask(said.str.len() > _LONGEST, cost).fillna("")
    found = (table["family"] + " " + said).str.strip()
    found = table["name"].where(table["name"].notna(), found)
    again = found.duplicated(keep=False) & table["name"].isna()
    return found.mask(again, found + " " + found.index.to_series().str[:6])


def _differing(architectures: pd.DataFrame) -> pd.Series:
    """Per `arch_id`: key -> value of the fields in which members differ."""
    flat = [dict(_flat(json.loads(c))) for c in architectures["config_json"]]
    values: dict[tuple[str, str], set[str]] = {}
    for family, config in zip(architectures["family"], flat, strict=True):
        for key, value in config.items():
            values.setdefault((family, key), set()).add(value)
    found = [
        {key: value for key, value in config.items() if len(values[family, key]) > 1}
        for family, config in zip(architectures["family"], flat, strict=True)
    ]
    return pd.Series(found, index=architectures["arch_id"], dtype=object)


def _flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [
            pair
            for key, inner in value.items()
            for pair in _flat(inner, f"{path}.{key}" if path else key)
        ]
    if isinstance(value, list):
        return [(path, "/".join(str(v) for v in value))]
    return [(path, str(value))]
