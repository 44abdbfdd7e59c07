from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import references
from analysis.candidates import comparable, device_of, read_source, time_column
from analysis.pick import Aim, Budget, differences, only_lmbda, pick
from analysis.tables import read_tables
from rdc.errors import ConfigError, DataError

MS = "decode_ms.abc.network"


def model(
    name: str, cost: float, ms: float, bpp: list[float], psnr_db: list[float]
) -> pd.DataFrame:
    """A curve, of lambdas 0.01, 0.02, ..."""
    lmbdas = 0.01 * np.arange(1, len(bpp) + 1)
    return pd.DataFrame(
        {
            "name": name,
            "family": "conv",
            "curve_id": name * 8,
            "kflops_per_px": cost,
            MS: ms,
            "lmbda": lmbdas,
            "bpp": bpp,
            "psnr_db": psnr_db,
            "rd_loss": bpp + lmbdas * 255**2 / 10 ** (np.array(psnr_db) / 10),
        }
    )


# Rates that double every 4 dB, from 0.2, 0.16 and 0.1 bpp at 28 dB on.
SMALL = model("s", 10, 5, [0.2, 0.4, 0.8], [28, 32, 36])
MIDDLE = model("m", 40, 9, [0.16, 0.32, 0.64], [28, 32, 36])
LARGE = model("l", 100, 30, [0.2, 0.4], [32, 36])
ALL = pd.concat([SMALL, MIDDLE, LARGE], ignore_index=True)


def named(found) -> list[str | None]:
    three = (found.next_cheaper, found.best, found.next_dearer)
    return [None if c is None else c.name for c in three]


def test_least_rate_at_a_psnr_and_what_the_neighbours_give() -> None:
    found = pick(ALL, Aim(min_psnr_db=34), Budget(max_kflops=50))
    assert named(found) == ["s", "m", "l"]
    assert found.of == 3
    # Half way in dB, on a curve that is straight in the logarithm of the rate.
    assert found.best.bpp == pytest.approx(0.32 * 2**0.5)
    assert found.best.psnr_db == 34
    assert found.best.interpolated
    assert found.best.rd_loss is None
    assert found.next_cheaper is not None
    assert differences(found.next_cheaper, found.best) == pytest.approx(
        {"bpp_percent": 25, "psnr_db": 0, "kflops_per_px": -30}
    )


def test_a_budget_of_time() -> None:
    found = pick(ALL, Aim(min_psnr_db=34), Budget(max_ms=30, time_column=MS))
    assert named(found) == ["m", "l", None]
    assert found.best.decode_ms == 30
    found = pick(ALL, Aim(min_psnr_db=34), Budget(max_ms=8, time_column=MS))
    assert named(found) == [None, "s", "m"]
    assert found.next_dearer is not None
    assert differences(found.next_dearer, found.best)["decode_ms"] == 4
    both = Budget(max_ms=30, max_kflops=20, time_column=MS)
    assert named(pick(ALL, Aim(min_psnr_db=34), both)) == [None, "s", "m"]


def test_most_psnr_within_a_rate() -> None:
    found = pick(ALL, Aim(max_bpp=0.4), Budget())
    assert named(found) == ["m", "l", None]
    assert found.best.psnr_db == 36
    assert not found.best.interpolated  # its last point
    assert found.next_cheaper is not None
    assert found.next_cheaper.psnr_db == pytest.approx(32 + 4 * np.log2(0.4 / 0.32))
    with pytest.raises(ConfigError, match=r"smallest point has 0\.1600 bpp"):
        pick(ALL, Aim(max_bpp=0.1), Budget())


def test_a_curve_that_begins_above_the_psnr_is_taken_at_its_first_point() -> None:
    found = pick(ALL, Aim(min_psnr_db=30), Budget())
    assert (found.best.name, found.best.bpp, found.best.psnr_db) == ("l", 0.2, 32)
    with pytest.raises(ConfigError, match=r"best point has 36\.00 dB"):
        pick(ALL, Aim(min_psnr_db=40), Budget())


def test_least_loss_at_a_lambda_of_the_models() -> None:
    found = pick(ALL, Aim(lmbda=0.02), Budget(max_kflops=60))
    assert named(found) == ["s", "m", "l"]
    assert found.best.rd_loss == pytest.approx(0.32 + 0.02 * 255**2 / 10**3.2)
    with pytest.raises(ConfigError, match=r"got 0\.5\. There are: 0\.01, 0\.02, 0\.03"):
        pick(ALL, Aim(lmbda=0.5), Budget())
    with pytest.raises(ConfigError, match=r"one of 0\.01, 0\.02, 0\.03"):
        only_lmbda(ALL)
    assert only_lmbda(ALL[ALL["lmbda"] == 0.02]) == 0.02


def test_nothing_within_the_budget_says_what_the_nearest_needs() -> None:
    with pytest.raises(ConfigError, match=r"within 4 ms; got none of 3.*s, needs 5 ms"):
        pick(ALL, Aim(min_psnr_db=34), Budget(max_ms=4, time_column=MS))
    unknown = ALL.assign(kflops_per_px=np.nan)
    with pytest.raises(DataError, match="column kflops_per_px"):
        pick(unknown, Aim(min_psnr_db=34), Budget())


def test_dominated_points_of_a_model_bend_no_curve() -> None:
    bent = pd.concat([ALL, SMALL.iloc[:1].assign(bpp=0.3, psnr_db=27)])
    found = pick(bent, Aim(min_psnr_db=30), Budget(max_kflops=20))
    assert found.best.bpp == pytest.approx(0.2 * 2**0.5)


def test_a_limit_is_positive() -> None:
    with pytest.raises(ConfigError, match="a limit is a positive number; got 0"):
        Budget(max_kflops=0)


@pytest.mark.parametrize("aims", [{}, {"lmbda": 0.01, "max_bpp": 1}])
def test_one_aim_is_given(aims: dict) -> None:
    with pytest.raises(ConfigError, match="one aim is given"):
        Aim(**aims)


def test_reference_models_where_nothing_else_is_named() -> None:
    source = read_source(None)
    points, notes = comparable(source)
    assert set(points["curve_id"]) == set(references.kodak()["run_id"])
    assert "steps" in notes[0]
    with pytest.raises(ConfigError, match=r"no decode times.*setting max_kflops"):
        device_of(source, "cpu")


def test_of_a_sweep_other_conditions_are_left_out_and_told(mixed_sweep: Path) -> None:
    source = read_source(mixed_sweep)
    points, notes = comparable(source)
    assert points["curve_id"].nunique() == 12
    assert notes == ["1 models left out, at some rate or all (other conditions: steps)"]
    points, notes = comparable(source, any_training=True)
    assert points["curve_id"].nunique() == 13
    assert "other trainings" in notes[0]
    device = device_of(source, "cpu")
    assert device == device_of(source, "c0ffee")
    assert "height px 512" in device.conditions
    for word in ("tpu", "example", None):  # none, two, two
        with pytest.raises(ConfigError, match=r"There are: Example CPU.*Example GPU"):
            device_of(source, word)
    times = read_tables(mixed_sweep)["frontier"][time_column(device)]
    found = pick(points, Aim(lmbda=0.0125), Budget(time_column=time_column(device)))
    assert found.best.decode_ms in set(times)


def test_image_sets_and_codecs_are_never_mixed(
    mixed_sweep: Path, tmp_path: Path
) -> None:
    table = read_tables(mixed_sweep)["frontier"]
    two = pd.concat([table, table.assign(dataset="kodak")])
    two.to_csv(tmp_path / "two.csv", index=False)
    source = read_source(tmp_path / "two.csv")
    with pytest.raises(ConfigError, match=r"points of one dataset.*kodak; val"):
        comparable(source)
    points, _ = comparable(source, dataset="kodak")
    assert set(points["dataset"]) == {"kodak"}
    with pytest.raises(ConfigError, match="unknown dataset"):
        comparable(source, dataset="clic")
    pd.concat([table, table.assign(coder="rans")]).to_parquet(tmp_path / "two.parquet")
    source = read_source(tmp_path / "two.parquet")
    with pytest.raises(ConfigError, match=r"setting codec: range, native.*; rans"):
        comparable(source)
    other = table.assign(image_set="0" * 16, curve_id="other")
    pd.concat([table, other.iloc[:1]]).to_csv(tmp_path / "sets.csv", index=False)
    _, notes = comparable(read_source(tmp_path / "sets.csv"))
    assert notes[0].endswith("(other images)")


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder of a sweep, or a table"):
        read_source(tmp_path / "nothing.parquet")
    (tmp_path / "other.csv").write_text("bpp,psnr_db\n1,30\n")
    with pytest.raises(DataError, match="no column name"):
        read_source(tmp_path / "other.csv")
