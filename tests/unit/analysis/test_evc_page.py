"""Paired differences, and the page of EVC's claims, of a sweep that never ran."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from analysis.evc_page import page
from analysis.paired import difference, losses
from rdc.errors import DataError

LARGE, SMALL = [32, 48, 64], [12, 20, 32]
# (encoder, decoder, encoders, method, trained, steps, has a teacher): its loss against
# the teacher's, per cent.
MODELS = {
    (0, 0, 1, "plain", "all", 100, False): 0.0,
    (1, 1, 1, "mask_decay", "all", 100, True): 3.0,
    (1, 1, 1, "plain", "all", 100, False): 6.0,
    (1, 1, 1, "plain", "all", 200, False): 2.0,
    (1, 1, 1, "plain", "all", 100, True): 3.1,
    (1, 0, 1, "mask_decay", "encoder", 100, True): 5.0,
    (1, 0, 2, "plain", "encoder", 100, True): 4.0,
}
SEEDS, IMAGES, LMBDAS = (0, 1, 2), [f"{i}.png" for i in range(8)], (0.005, 0.01)


def tables() -> dict[str, pd.DataFrame]:
    random = np.random.default_rng(0)
    difficulty = random.uniform(0.5, 2, (len(SEEDS), len(IMAGES)))
    runs, architectures, points, rows = [], [], [], []
    for (encoder, decoder, encoders, *recipe), percent in MODELS.items():
        method, trained, steps, taught = recipe
        config = {
            "transform": {
                "encoder_channels": SMALL if encoder else LARGE,
                "decoder_channels": SMALL if decoder else LARGE,
            },
            "encoders": encoders,
        }
        arch_id = f"{encoder}{decoder}{encoders}"
        architectures.append(
            {
                "arch_id": arch_id,
                "config_json": json.dumps(config),
                "kmacs_per_px_encode": 8.0,
                "kflops_per_px": 20.0,
            }
        )
        for seed in SEEDS:
            run_id = f"{arch_id}{method}{steps}{taught}{seed}"
            told = {"method": method, "trained": trained, "steps": steps}
            runs.append(
                {
                    "run_id": run_id,
                    "arch_id": arch_id,
                    "status": "ok",
                    "recipe_json": json.dumps(told),
                    "seed": seed,
                    "steps": steps,
                    "init_from": "t" if taught else None,
                }
            )
            for rate, lmbda in enumerate(LMBDAS):
                points.append({"run_id": run_id, "rate": rate, "lmbda": lmbda})
                for number, image in enumerate(IMAGES):
                    noise = 1 + 0.001 * random.normal()
                    loss = difficulty[seed, number] * (1 + percent / 100) * noise
                    rows.append(
                        {
                            "run_id": run_id,
                            "rate": rate,
                            "dataset": "kodak",
                            "image": image,
                            "bpp_coded": 0.5 * loss,
                            "bpp_estimated": 0.5 * loss,
                            "mse_255": 0.5 * loss / lmbda,
                        }
                    )
    return {
        "runs": pd.DataFrame(runs),
        "architectures": pd.DataFrame(architectures).drop_duplicates("arch_id"),
        "points": pd.DataFrame(points),
        "rate_distortion": pd.DataFrame(rows),
    }


def test_pairs_see_what_images_and_seeds_hide() -> None:
    """3 % between models whose losses vary by a factor of four over images."""
    made = tables()
    found = losses(made["rate_distortion"], made["points"])
    assert found.shape == (len(MODELS) * len(SEEDS), len(IMAGES))
    decayed = found[found.index.str.startswith("111mask")].set_axis(SEEDS)
    teacher = found[found.index.str.startswith("001")].set_axis(SEEDS)
    apart = difference(decayed, teacher)
    assert apart.percent == pytest.approx(3, abs=0.15)
    assert apart.low < 3 < apart.high
    assert apart.high - apart.low < 0.3
    assert apart.is_sure
    assert apart.seeds == 3
    assert not difference(teacher, teacher).is_sure


def test_the_page_says_what_holds_and_what_does_not_show() -> None:
    text = page(tables())
    verdicts = {
        line.split(" | ")[0].removeprefix("| "): line.split(" | ")[-1].removesuffix(
            " |"
        )
        for line in text.splitlines()
        if line.startswith("| ")
    }
    assert verdicts["mask decay beats scratch in its own steps, s-s"] == "holds"
    longer = "mask decay beats scratch in steps of teacher and student, s-s"
    assert verdicts[longer] == "the reverse"
    again = "mask decay beats scratch, and then again from there, s-s"
    assert verdicts[again] in ("does not show", "holds")
    assert verdicts["a second encoder helps"] == "holds"
    assert verdicts["a third encoder helps more"] == "not measured"
    assert "21 of the 21 trainings" in text


def test_without_a_teacher_there_is_no_page() -> None:
    made = tables()
    made["rate_distortion"] = made["rate_distortion"].iloc[:0]
    with pytest.raises(DataError, match="students and their teachers"):
        page(made)
