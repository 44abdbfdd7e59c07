"""Columns of tables as the page's script reads them."""

from __future__ import annotations

import pandas as pd


def texts(column: pd.Series) -> dict[str, list]:
    """Distinct values once, and their positions; null is -1."""
    codes, values = pd.factorize(column)
    return {"values": list(values), "codes": codes.tolist()}


def numbers(column: pd.Series) -> list[float | int | None]:
    """Six significant digits: more than any measurement has."""
    return [
        None if v != v else int(v) if v == int(v) else float(f"{v:.6g}")
        for v in column.astype(float).tolist()
    ]
