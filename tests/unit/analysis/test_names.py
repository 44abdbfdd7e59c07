"""What architectures without a name are called."""

from __future__ import annotations

import hashlib
import json

import pandas as pd

from analysis.names import configurations, labels


def architectures(*rows: tuple[str, str | None, dict, float | None]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            (
                hashlib.sha256(bytes([number])).hexdigest()[:16],
                family,
                name,
                json.dumps(config),
                cost,
            )
            for number, (family, name, config, cost) in enumerate(rows)
        ],
        columns=["arch_id", "family", "name", "config_json", "kflops_per_px"],
    )


def test_what_differs_within_a_family_is_said() -> None:
    table = architectures(
        ("conv/a:conv", None, {"transform": {"channels": [8, 8], "kernel": 5}}, 1.0),
        ("conv/a:conv", None, {"transform": {"channels": [9, 9], "kernel": 5}}, 2.0),
        ("elic/a:conv", None, {"transform": {"channels": [8, 8]}}, 3.0),
        ("elic/b:conv", "rdc_f", {"transform": {"channels": [7, 7]}}, 4.0),
    )
    assert list(labels(table)) == [
        *("conv/a:conv 8/8", "conv/a:conv 9/9", "elic/a:conv", "rdc_f")
    ]
    assert configurations(table).iloc[0] == "transform.channels=8/8"


def test_where_much_differs_the_cost_is_said() -> None:
    wide = [{"a": [192, 192, 192], "b": n, "c": [320, n]} for n in (1, 22)]
    table = architectures(
        ("conv/a:conv", None, {**wide[0], "d": "long enough"}, 3.352),
        ("conv/a:conv", None, {**wide[1], "d": "another text"}, 44.37),
    )
    assert list(labels(table)) == ["conv/a:conv at 3.35k", "conv/a:conv at 44.4k"]


def test_no_two_are_called_alike_also_without_costs() -> None:
    table = architectures(
        *(("conv/a:conv", None, {"d": f"a text too long {n}"}, None) for n in range(3)),
        ("conv/a:conv", None, {"d": "one more text 1"}, 5.001),
        ("conv/a:conv", None, {"d": "one more text 2"}, 5.002),
    )
    assert labels(table).is_unique
