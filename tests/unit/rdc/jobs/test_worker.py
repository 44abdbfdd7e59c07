"""The worker: jobs in, records with typed results out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rdc.codec import LearnedCodec
from rdc.data.image_sets import list_images
from rdc.data.manifest import known_images, manifest_of
from rdc.errors import ExitCode
from rdc.jobs import worker
from rdc.jobs.job import (
    BenchmarkJob,
    CodecJob,
    EvaluateJob,
    Job,
    Request,
    TrainJob,
)
from rdc.jobs.layout import RECORD_FILE, REQUEST_FILE, SPEC_FILE, attempt_folder
from rdc.jobs.node_check import versions
from rdc.jobs.records import (
    RESULTS,
    BenchmarkResult,
    CodecResult,
    EvaluateResult,
    Record,
    TrainResult,
)
from rdc.specs.checkpoint import CheckpointSpec
from rdc.specs.classical import ClassicalSpec
from rdc.specs.coding import CodecSettings
from rdc.specs.model import ModelSpec
from rdc.specs.recipe import Recipe
from rdc.specs.timing import BenchmarkSpec
from rdc.system.code import code_sha256
from rdc.system.files import read_json, write_json_atomically
from rdc.system.hardware import describe
from tests.architectures import ALL
from tests.unit.rdc.data.photographs import damage, write_images

MODEL = ModelSpec(
    architecture=ALL["conv-mean_scale_hyperprior-conv"],
    recipe=Recipe(steps=4, batch_size=2, crop_px=64),
    rates=(0.0125,),
    data_sha256="of no consequence here",
)
TIMING = BenchmarkSpec(height_px=64, width_px=64, warmup=1, repeats=2, attempts=1)
NEVER = CheckpointSpec(every_seconds=None)


def begun(out: Path, job: Job, request: Request) -> Path:
    """The folder of a first attempt at `job`."""
    folder = attempt_folder(job.folder(out), 1)
    folder.mkdir(parents=True)
    write_json_atomically(folder.parent.parent / SPEC_FILE, job.to_dict())
    write_json_atomically(folder / REQUEST_FILE, request.to_dict())
    return folder


def run(folder: Path, expected: ExitCode = ExitCode.OK) -> Record:
    """As `main` does, but for the settings of the whole process."""
    first = worker.read_attempt(folder)
    others = [worker.read_attempt(Path(path)) for path in first.request.together]
    assert worker.run_attempts([first, *others]) == expected
    return record(folder)


def record(folder: Path) -> Record:
    return Record.from_dict(read_json(folder / RECORD_FILE))


def result(found: Record) -> Any:
    """Parsed as strictly as analysis parses it."""
    assert found.status == "ok", found.error
    return RESULTS[found.stage].from_dict(found.result)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record, Record]:
    """Two models trained by one process: (folder of the first, both records)."""
    out = tmp_path_factory.mktemp("out")
    jobs = [TrainJob(model=replace(MODEL, rates=(rate,))) for rate in (0.0125, 0.05)]
    plain = Request(images="bundled:train", checkpoint=NEVER)
    halved = replace(NEVER, model_dtype="bfloat16")
    second = begun(out, jobs[1], replace(plain, checkpoint=halved))
    first = begun(out, jobs[0], replace(plain, together=(str(second),)))
    return first, run(first), record(second)


@pytest.fixture(scope="module")
def model_dir(trained: tuple) -> str:
    return str(trained[0] / result(trained[1]).model_dir)


def test_trainings_share_a_process(trained: tuple, model_dir: str) -> None:
    folder, *records = trained
    for found, rate in zip(records, (0.0125, 0.05), strict=True):
        spec = replace(MODEL, rates=(rate,))
        assert (found.stage, found.job_id, found.attempt) == ("train", spec.run_id, 1)
        outcome = result(found)
        assert isinstance(outcome, TrainResult)
        assert outcome.data_sha256 == MODEL.data_sha256
        assert (outcome.summary.steps, outcome.summary.models_together) == (4, 2)
        assert "planned_hardware_id" not in found.environment
        assert found.environment["code_sha256"] == code_sha256()
    codec = LearnedCodec.load(model_dir)
    assert codec.operating_points == MODEL.operating_points
    assert codec.provenance["run_id"] == MODEL.run_id
    assert codec.provenance["job"] == TrainJob(model=MODEL).to_dict()
    assert (folder / "checkpoint" / "4").is_dir()


def test_finished_models_have_the_weights_that_were_asked_for(trained: tuple) -> None:
    first = trained[0]
    (second,) = read_json(first / REQUEST_FILE)["together"]
    for folder, dtype in ((first, "float32"), (Path(second), "bfloat16")):
        assert read_json(folder / "model/spec.json")["weights_dtype"] == dtype


def test_an_evaluation_has_its_codec_settings(
    trained: tuple, model_dir: str, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    paths = write_images(images, 3)
    damage(paths[1])
    job = EvaluateJob(
        run_id=MODEL.run_id,
        dataset="noise",
        data_sha256="00",
        codec=CodecSettings(numerics="exact"),
    )
    request = Request(images=str(images), model_dir=model_dir)
    found = result(run(begun(tmp_path, job, request)))
    assert isinstance(found, EvaluateResult)
    assert (found.run_id, found.dataset) == (MODEL.run_id, "noise")
    assert (found.coder, found.numerics, found.effort) == ("range", "exact", 0)
    assert [row.image for row in found.images] == [paths[0].name, paths[2].name]
    assert found.skipped_images == (paths[1].name,)
    assert all(row.bpp_estimated is not None for row in found.images)


def test_a_classical_codec_at_all_of_its_settings(tmp_path: Path) -> None:
    spec = ClassicalSpec(name="webp", settings=(10, 80))
    job = CodecJob(codec=spec, dataset="bundled", data_sha256="00")
    found = result(run(begun(tmp_path, job, Request(images="bundled:eval"))))
    assert isinstance(found, CodecResult)
    assert (found.codec_id, found.name) == (spec.codec_id, "webp")
    assert found.version
    names = [path.name for path in list_images("bundled:eval")]
    assert [(row.image, row.setting) for row in found.images] == [
        (name, setting) for name in names for setting in (10, 80)
    ]


def benchmark(**settings: Any) -> BenchmarkJob:
    values = {"hardware_id": describe()["hardware_id"], **settings}
    return BenchmarkJob(architecture=MODEL.architecture, benchmark=TIMING, **values)


def test_times_of_a_trained_model(model_dir: str, tmp_path: Path) -> None:
    job = benchmark(run_id=MODEL.run_id)
    request = Request(images="bundled:eval", model_dir=model_dir)
    record = run(begun(tmp_path, job, request))
    found = result(record)
    assert isinstance(found, BenchmarkResult)
    assert (found.run_id, found.arch_id) == (MODEL.run_id, job.arch_id)
    assert (found.coder, found.numerics, found.rate) == ("range", "native", 0)
    stages = {(row.stage, row.dataset) for row in found.times}
    assert stages == {
        (stage, "bundled") for stage in ("network", "entropy_coding", "end_to_end")
    }
    assert "planned_hardware_id" not in record.environment


def test_random_weights_are_timed_in_the_network_alone(tmp_path: Path) -> None:
    found = result(run(begun(tmp_path, benchmark(), Request())))
    assert found.run_id is None
    assert {(row.stage, row.dataset) for row in found.times} == {("network", None)}


def test_a_benchmark_that_lands_elsewhere_takes_no_times(tmp_path: Path) -> None:
    job = benchmark(hardware_id="feedfeedfeedfeed")
    record = run(begun(tmp_path, job, Request()), ExitCode.BAD_INPUT)
    actual = describe()["hardware_id"]
    assert record.environment["hardware_id"] == actual
    assert record.environment["planned_hardware_id"] == "feedfeedfeedfeed"
    assert (record.status, record.result) == ("failed", {})
    error = f"of hardware feedfeedfeedfeed; got {actual}, {describe()['device_kind']}"
    assert error in (record.error or "")


@pytest.mark.parametrize(
    ("error", "code", "status", "text"),
    [
        (MemoryError("8 GB"), ExitCode.OUT_OF_MEMORY, "oom", "out of memory"),
        (OSError(28, "No space left on device"), ExitCode.DISK_FULL, "failed", "space"),
        (KeyError("x"), ExitCode.CRASHED, "failed", "KeyError: 'x' ["),
    ],
)
def test_what_ends_a_process_becomes_a_record(
    error: Exception,
    code: ExitCode,
    status: str,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("rdc.measurements.decode_time.time_decoder", fail)
    found = run(begun(tmp_path, benchmark(), Request()), code)
    assert found.status == status
    assert text in (found.error or "")
    assert found.result == {}


def test_a_refusal_becomes_a_record(tmp_path: Path) -> None:
    job = CodecJob(codec=ClassicalSpec(name="jpeg"), dataset="a", data_sha256="00")
    found = run(begun(tmp_path, job, Request(images="nowhere")), ExitCode.BAD_INPUT)
    assert found.status == "failed"
    assert found.error == (
        "an image set is a folder, a .txt list of files, or bundled:train|eval; got "
        "no nowhere. Check the path; relative ones start at the present folder."
    )


def test_a_broken_attempt_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = begun(tmp_path, benchmark(), Request())
    write_json_atomically(folder.parent.parent / SPEC_FILE, {"stage": "tune"})
    assert worker.main([str(folder)]) == ExitCode.BAD_INPUT
    assert "One of train, evaluate, codec, overfit" in capsys.readouterr().err
    assert worker.main([]) == ExitCode.BAD_INPUT


OTHER_MACHINES = {
    "other code": (
        {"versions": {**versions(), "code": "0123456789abcdef"}},
        r"code [0-9a-f]{16} in place of 0123456789abcdef",
    ),
    "other packages": ({"versions": {"jax": "0.0.1"}}, r"jax \S+ in place of 0\.0\.1"),
    "no GPU": ({"gpus": 0.5}, r"given work for a GPU can use it; got its CPU alone"),
    "other images": ({"images": "copy"}, r"planned images of .*000\.png is missing"),
}


@pytest.mark.parametrize(("given", "said"), OTHER_MACHINES.values(), ids=OTHER_MACHINES)
def test_a_machine_that_is_not_as_planned_says_nothing_of_the_job(
    tmp_path: Path, capfd: pytest.CaptureFixture, given: dict, said: str
) -> None:
    images, copy = tmp_path / "images", tmp_path / "copy"
    copy.mkdir()
    write_images(images, 2)
    path = tmp_path / "manifest.json"
    manifest = manifest_of(str(images), known_images(str(images)))
    write_json_atomically(path, manifest.to_dict())
    sound = Request(images=str(images), manifest=str(path), versions=versions())
    if "images" in given:
        given = {"images": str(copy)}
    job = CodecJob(codec=ClassicalSpec(name="jpeg"), dataset="a", data_sha256="b")
    folder = begun(tmp_path / "out", job, replace(sound, **given))
    assert worker.run_attempts([worker.read_attempt(folder)]) == ExitCode.NODE_FAULT
    assert re.search(said, capfd.readouterr().err)
    assert not (folder / RECORD_FILE).exists()
    as_planned = begun(tmp_path / "again", job, sound)
    assert len(result(run(as_planned)).images) > 0
