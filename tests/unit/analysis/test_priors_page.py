"""The page of priors, of a sweep that never ran."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from analysis.priors_page import page
from analysis.tables import columns
from rdc.errors import DataError

# Its loss against CHARM's, per cent.
PRIORS = {"charm": 0.0, "mean_scale_hyperprior": 8.0, "quadtree_prior": -5.0}
SEEDS, IMAGES, LMBDA = (0, 1, 2), [f"{i}.png" for i in range(6)], 0.01


def tables() -> dict[str, pd.DataFrame]:
    runs, architectures, points, rows = [], [], [], []
    for name, percent in PRIORS.items():
        architectures.append(
            {
                "arch_id": name,
                "name": name,
                "family": name,
                "config_json": json.dumps({"entropy_model": {"name": name}}),
                "kflops_per_px": 20.0,
            }
        )
        for seed in SEEDS:
            run_id = f"{name}{seed}"
            told = {"run_id": run_id, "arch_id": name, "status": "ok"}
            runs.append({**told, "seed": seed, "steps": 100})
            points.append({"run_id": run_id, "rate": 0, "lmbda": LMBDA})
            for number, image in enumerate(IMAGES):
                bpp = (1 + number + 0.1 * seed) * (1 + percent / 100)
                row = {"run_id": run_id, "rate": 0, "dataset": "kodak", "image": image}
                loss = {"bpp_coded": 1.002 * bpp, "bpp_estimated": bpp}
                rows.append({**row, **loss, "mse_255": bpp / LMBDA})
    made = {"runs": runs, "architectures": architectures, "points": points}
    return {
        **{name: pd.DataFrame(table) for name, table in made.items()},
        "rate_distortion": pd.DataFrame(rows),
        "decode_times": one_row(
            "decode_times", arch_id="charm", stage="network", decode_ms=31.0
        ),
        "decode_estimates": one_row(
            "decode_estimates",
            arch_id="charm",
            component="network",
            device_kind="TPU v5 lite",
            decode_ms=1.5,
        ),
    }


def one_row(table: str, **values: object) -> pd.DataFrame:
    """Zeros where nothing is said."""
    return pd.DataFrame([{**dict.fromkeys(columns(table), 0), **values}])


def test_priors_stand_against_charm() -> None:
    text = page(tables())
    lines = {
        line.split(" | ")[0].removeprefix("| "): line
        for line in text.splitlines()
        if line.startswith("| ")
    }
    assert "| - | 3 | 20.0 | 31 | - | 1.50 |" in lines["charm"]
    assert "**+8.00 % (+8.00 to +8.00)** | 3" in lines["mean_scale_hyperprior"]
    assert "**-5.00 % (-5.00 to -5.00)** | 3" in lines["quadtree_prior"]
    assert "9 of the 9 trainings" in text
    assert "+0.20 % of their estimates, +0.20 to +0.20 %" in text


def test_without_charm_there_is_no_page() -> None:
    made = tables()
    rows = made["rate_distortion"]
    made["rate_distortion"] = rows[~rows["run_id"].str.startswith("charm")]
    with pytest.raises(DataError, match="charm was trained"):
        page(made)
