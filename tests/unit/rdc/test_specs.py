"""Specs refuse what cannot be built, and say the rule, the value and the remedy."""

from __future__ import annotations

import pytest

from rdc.architectures import NAMED, resolve
from rdc.errors import ConfigError
from rdc.jobs.job import BenchmarkJob, EvaluateJob, TrainJob, parse_job
from rdc.registry import arch_id, parse_architecture
from rdc.specs.training import BenchmarkSpec, TrainSpec
from tests.architectures import ALL

CONV = {"entropy_model": "mean_scale_hyperprior", "hyper_transform": "conv"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"transform": "elc", **CONV},
            "unknown transform; got 'elc'. Did you mean elic",
        ),
        ({"transform": "conv", "entropy": "charm"}, "unknown key of architecture"),
        (
            {"transform": {"name": "conv", "chanels": [1, 2, 3]}, **CONV},
            "unknown key of transform; got 'chanels'. Did you mean channels",
        ),
        (
            {"transform": {"name": "conv", "channels": [8, 8]}, **CONV},
            "transform.channels.2: field required",
        ),
        (
            {"transform": {"name": "conv", "channels": [8, 8, "8"]}, **CONV},
            "transform.channels.2: input should be a valid integer; got '8'",
        ),
        ({"transform": {"name": "conv", "kernel": 4}, **CONV}, "kernel is odd"),
        (
            {"transform": {"name": "elic", "channels": [7, 8, 8]}, **CONV},
            "widths are even .*; got 7. Use an even width",
        ),
        (
            {"transform": {"name": "elic", "residual_blocks": 0}, **CONV},
            "residual_blocks is at least 1; got 0",
        ),
        (
            {"transform": {"name": "swint", "widths": [64, 96, 100, 320]}, **CONV},
            r"head_dim \(32\) divides every Swin width; got 100. Change the width",
        ),
        (
            {"transform": {"name": "swint", "depths": [2, 0, 6, 2]}, **CONV},
            "depths are at least 1",
        ),
        (
            {"transform": {"name": "swint", "window": 7}, **CONV},
            "window is even; got 7",
        ),
        (
            {
                "transform": {"name": "conv", "latent_channels": 192},
                "entropy_model": "charm",
                "hyper_transform": "conv",
            },
            r"num_slices \(10\) divides the latent width; got 192. Change",
        ),
        (
            {
                "transform": "conv",
                "entropy_model": {"name": "charm", "max_support_slices": 10},
                "hyper_transform": "conv",
            },
            "max_support_slices is at least 0 and less than num_slices; got 10",
        ),
        (
            {"transform": "conv", "entropy_model": "charm"},
            "charm needs a hyper_transform; got None. Add hyper_transform=conv",
        ),
        (
            {"transform": "conv", "entropy_model": "factorized"}
            | {"hyper_transform": "conv"},
            "factorized has no hyper-transform; got conv. Leave hyper_transform out",
        ),
        ({"entropy_model": "factorized"}, "an architecture has a transform"),
    ],
)
def test_impossible_architectures_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_architecture(values)


@pytest.mark.parametrize("spec", ALL.values(), ids=ALL)
def test_specs_survive_plain_data(spec) -> None:
    again = parse_architecture(spec.to_dict())
    assert again == spec
    assert arch_id(again) == arch_id(spec)


def test_names_are_no_part_of_identity() -> None:
    assert arch_id(resolve("rdc_b")) == arch_id(
        parse_architecture(NAMED["rdc_b"].to_dict())
    )
    assert len({arch_id(spec) for spec in NAMED.values()}) == len(NAMED)
    with pytest.raises(ConfigError, match="unknown architecture; got 'rdc_h'"):
        resolve("rdc_h")


def test_jobs_survive_plain_data() -> None:
    architecture = ALL["conv-charm-conv"]
    train = TrainJob(architecture=architecture, train=TrainSpec(), data_sha256="ab")
    jobs = [
        train,
        EvaluateJob(run_id=train.job_id, dataset="k", data_sha256="cd", lmbda=0.01),
        BenchmarkJob(
            architecture=architecture, hardware_id="ef", benchmark=BenchmarkSpec()
        ),
    ]
    assert [parse_job(job.to_dict()) for job in jobs] == jobs
    assert len({job.job_id for job in jobs}) == 3
