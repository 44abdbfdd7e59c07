"""What a plan costs: device-hours, chip-hours, measured or expected by a compiler."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from launch.commands.benchmark import BENCHMARK_APP
from launch.commands.sweep import SWEEP_APP
from launch.config.app import run_app
from launch.config.composing import CONFIG_DIR
from launch.config.settings import Throughput
from rdc.errors import ConfigError, ExitCode

CORES = Throughput(
    name="TPU v4",
    training_gflops_per_second=1000.0,
    source="a page",
    by="compiler",
    by_family={"conv/hyperprior:conv": 2000.0},
    unit="chip",
    devices_per_unit=2,
)


def test_a_chip_of_two_devices_takes_half_of_a_devices_hours() -> None:
    hour = 1000e9 * 3600
    assert CORES.hours(hour, "elic/charm:conv") == pytest.approx(0.5)
    assert CORES.hours(hour, "conv/hyperprior:conv") == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"training_gflops_per_second": 0.0}, "training_gflops_per_second is positive"),
        ({"by_family": {"conv": -1.0}}, "by_family.conv is positive"),
        ({"devices_per_unit": 0}, "devices_per_unit is at least 1"),
        ({"by": "hearsay"}, "throughput.by"),
    ],
)
def test_impossible_throughputs_are_refused(changed: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Throughput.from_dict({**CORES.to_dict(), **changed}, "throughput")


@pytest.mark.parametrize("path", sorted((CONFIG_DIR / "throughput").glob("*.yaml")))
def test_shipped_throughputs_have_a_source(path: Path) -> None:
    throughput = Throughput.from_dict(yaml.safe_load(path.read_text()), "throughput")
    assert throughput.source
    assert (throughput.by == "compiler") == path.stem.startswith("tpu_")


def planned(out: Path, capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    command = ["+grid=rdc_smoke", "plan_only=true", f"out={out}", *overrides]
    assert run_app(SWEEP_APP, command) == ExitCode.OK
    return " ".join(capsys.readouterr().out.split())


def own_options(folder: Path) -> list[str]:
    (folder / "throughput").mkdir(parents=True)
    text = yaml.safe_dump(CORES.to_dict())
    (folder / "throughput" / "mine.yaml").write_text(text)
    return ["--config-dir", str(folder)]


def test_the_hardware_names_the_throughput_and_the_user_has_the_last_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = own_options(tmp_path / "own")
    usual = planned(tmp_path / "out", capsys)
    assert "device-hours on 2 cores of an AMD EPYC" in usual
    assert "by the compiler" not in usual
    by_hardware = planned(tmp_path / "out", capsys, *mine, "hardware.throughput=mine")
    asked = planned(tmp_path / "out", capsys, *mine, "throughput=mine")
    for text in (by_hardware, asked):
        assert "estimated by the compiler, no measurement: " in text
        assert "chip-hours on TPU v4" in text
        assert "a chip is 2 devices, each with a training of its own" in text
        assert "chip-hours by family: " in text


@pytest.mark.parametrize("app", [SWEEP_APP, BENCHMARK_APP], ids=["sweep", "benchmark"])
def test_training_steps_are_not_estimated_on_a_device_that_is_here(
    app, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    what = "+grid=rdc_smoke" if app is SWEEP_APP else "architecture=rdc_g"
    command = [what, f"out={tmp_path}", "benchmark.estimates=[training_step]"]
    assert run_app(app, command) == ExitCode.BAD_INPUT
    assert "Add hardware=tpu_v4" in capsys.readouterr().err
    none = [what, f"out={tmp_path}", "hardware=tpu_v4", "benchmark.estimates=[]"]
    assert run_app(app, none) == ExitCode.BAD_INPUT
    assert "decoder, training_step or both" in capsys.readouterr().err


def test_a_sweep_asks_once_per_step_and_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = planned(
        tmp_path / "out",
        capsys,
        "hardware=tpu_v4",
        "stages=[plan,complexity,benchmark]",
        "benchmark.estimates=[decoder,training_step]",
    )
    jobs = text.split("jobs by stage: ")[1]
    steps, decoders = (
        int(jobs.split(f" {stage}")[0].split()[-1])
        for stage in ("estimate_training", "estimate,")
    )
    assert steps >= decoders >= 1
