"""Arithmetics by name and id, and how configuration and identities know them."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from rdc.codec import BitstreamError, Codec
from rdc.codec.numerics import ARITHMETICS, arithmetic_by_id
from rdc.entropy_coders.coders import CODERS
from rdc.errors import ConfigError
from rdc.jobs.job import EvaluateJob
from rdc.specs.coding import CodecSpec


def test_the_spec_knows_every_coder_and_arithmetic() -> None:
    hints = get_type_hints(CodecSpec)
    assert set(get_args(hints["coder"])) == set(CODERS)
    assert set(get_args(hints["arithmetic"])) == set(ARITHMETICS)


def test_unknown_arithmetics_are_refused() -> None:
    with pytest.raises(BitstreamError, match="arithmetic is known"):
        arithmetic_by_id(9)
    with pytest.raises(ConfigError, match="native, exact"):
        Codec.load(arithmetic="fast")


def test_only_another_choice_makes_another_job() -> None:
    base = EvaluateJob(run_id="1", dataset="kodak", data_sha256="2", lmbda=0.01)
    exact = EvaluateJob(
        run_id="1",
        dataset="kodak",
        data_sha256="2",
        lmbda=0.01,
        codec=CodecSpec(arithmetic="exact"),
    )
    assert "codec" not in base.to_dict()
    assert exact.job_id != base.job_id
    for job in (base, exact):
        assert EvaluateJob.from_dict(job.to_dict()) == job
