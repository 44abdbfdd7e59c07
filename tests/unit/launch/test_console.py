"""`rdc refs` and `rdc pick`, and the codec's commands beside them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest

from analysis import references
from analysis.reference_points import reference_points
from launch.console import main, pick, refs
from launch.console.output import check_extra
from rdc.cli.app import parser
from rdc.errors import ConfigError

COMMANDS = next(a.choices for a in parser((refs, pick))._actions if a.choices)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(command: str, capsys) -> None:
    """A % in the text of an option ends argparse, when that text is asked for."""
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"usage: rdc {command}" in capsys.readouterr().out


def test_refs_in_every_format(capsys) -> None:
    names = {point.codec for point in reference_points()}
    text = printed(capsys, "refs", "--format", "csv")
    as_csv = list(csv.DictReader(io.StringIO(text)))
    as_json = json.loads(printed(capsys, "refs", "--format", "json"))
    assert names == {row["codec"] for row in as_csv}
    assert names == {row["codec"] for row in as_json}
    assert all(row["source"] for row in as_json)
    for kind in ("text", "markdown"):
        text = printed(capsys, "refs", "--format", kind)
        for anchor in ("BPG", "VTM-17.2", "VTM-28.3"):
            assert text.count(f"BD-rate against {anchor}, %") == 1
        assert all(name in text for name in names)
        assert all(point.source in text for point in reference_points())
        assert "none measured here" in text


def test_refs_by_anchor_and_cost(capsys) -> None:
    text = printed(capsys, "refs", "--anchor", "VTM-17.2", "--max-kflops", "200")
    assert "EVC-S" in text
    assert "EVC-M" not in text
    assert "139.2" in text
    assert "Did you mean BPG?" in refused(capsys, "refs", "--anchor", "BPG4")
    assert "--max-kflops" in refused(capsys, "refs", "--max-kflops", "0.5")


def test_curves_of_references(capsys) -> None:
    text = printed(capsys, "refs", "--curves", "--anchor", "VTM-19", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["codec"] for row in rows} == {"cool-chic-v4.2"}
    assert all(row["source_commit"] for row in rows)
    assert "evc-L" in printed(capsys, "refs", "--curves")


def test_pick_of_the_reference_models(capsys) -> None:
    arguments = ("pick", "--min-psnr", "32", "--max-kflops", "40")
    found = json.loads(printed(capsys, *arguments, "--format", "json"))
    costs = references.kodak().drop_duplicates("name").set_index("name")
    assert found["pick"]["name"] == "light"
    assert found["next_cheaper"] is None
    dearer = found["next_dearer"]
    assert dearer["name"] == "best"
    assert dearer["against_the_pick"]["bpp_percent"] == pytest.approx(
        100 * (dearer["bpp"] / found["pick"]["bpp"] - 1)
    )
    assert dearer["kflops_per_px"] == costs["kflops_per_px"]["best"]
    assert set(found["pick"]) <= {
        *("name", "family", "curve_id", "interpolated"),
        *found["units"],
    }
    text = printed(capsys, *arguments)
    assert text.startswith("light: least rate for 32 dB, 40 kFLOPs/px")
    assert f"{dearer['against_the_pick']['bpp_percent']:+.1f} % rate" in text
    assert "kFLOPs/px of the decoder" in text


def test_pick_speaks_of_options(capsys) -> None:
    assert "--max-kflops" in refused(capsys, "pick", "--max-ms", "30")
    assert "--min-psnr, --max-bpp or --lmbda" in refused(capsys, "pick")
    assert "got nowhere" in refused(capsys, "pick", "nowhere", "--min-psnr", "32")
    with pytest.raises(SystemExit):
        main(["pick", "--min-psnr", "32", "--max-bpp", "1"])


def test_the_codec_is_there_and_needs_no_tables(capsys) -> None:
    assert "best (default)" in printed(capsys, "models")
    code = (
        "import sys; from launch.console import main; main(['models']); "
        "assert not {'jax', 'pandas', 'hydra', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_without_the_extra_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'rdc-frontier\[report\]'"):
        check_extra()


def test_pick_by_any_measures(capsys) -> None:
    arguments = ("pick", "--best", "ms_ssim", "--limit", "bpp=0.5", "--max-kflops")
    found = json.loads(printed(capsys, *arguments, "40", "--format", "json"))
    models = references.kodak()
    within = models[(models["bpp"] <= 0.5) & (models["kflops_per_px"] <= 40)]
    assert found["pick"]["ms_ssim"] == within["ms_ssim"].max()
    assert found["limits"] == ["kflops_per_px at most 40", "bpp at most 0.5"]
    assert "next cheaper" in printed(capsys, *arguments, "40")
    assert "Add --limit" in refused(capsys, "pick", "--best", "psnr_db")
    assert "--best" in refused(capsys, "pick", "--limit", "bpp=0.5")
    assert "--lmbda" in refused(
        capsys, "pick", "--best", "rd_loss", "--max-kflops", "9"
    )
