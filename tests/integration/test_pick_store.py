"""`rdc pick` of a sweep whose OUT is an object store: as of the same folder."""

import json

from analysis.gather import gather
from launch.console import main
from rdc.system.store import Store
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.invented import architectures


def test_a_store_answers_as_its_folder_does(s3, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sweep = SweepOutput(tmp_path / "out")
    sweep.finish(sweep.plan(architectures((32, 64))))
    store = Store(f"s3://bucket/{tmp_path.name}")
    for path in sweep.out.rglob("*"):
        if path.is_file():
            store.write(path.relative_to(sweep.out).as_posix(), path.read_bytes())
    gather(sweep.out)
    answers = []
    for out in (str(sweep.out), store.url):
        options = ["--max-kflops", "100", "--device", "cpu", "--format", "json"]
        assert main(["pick", out, *options]) == 0
        answers.append(json.loads(capsys.readouterr().out))
        assert answers[-1]["conditions"].pop("source") == out
    assert answers[0] == answers[1]
    assert answers[0]["pick"]["kflops_per_px"] <= 100


def test_a_store_without_a_sweep_is_one_clear_error(s3, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["pick", f"s3://bucket/{tmp_path.name}"]) == 2
    assert "out is the folder of a sweep" in capsys.readouterr().err
