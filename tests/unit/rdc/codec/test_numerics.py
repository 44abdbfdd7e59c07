"""Numerics by name, and how settings and the identities of jobs know them."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args, get_type_hints

import pytest

from rdc.codec import LearnedCodec
from rdc.codec.numerics import NUMERICS
from rdc.entropy_coders.coders import CODERS
from rdc.errors import ConfigError
from rdc.jobs.job import EvaluateJob
from rdc.specs.coding import CodecSettings


def test_the_settings_know_every_coder_and_numerics() -> None:
    hints = get_type_hints(CodecSettings)
    assert set(get_args(hints["coder"])) == set(CODERS)
    assert set(get_args(hints["numerics"])) == set(NUMERICS)


def test_unknown_numerics_are_refused() -> None:
    with pytest.raises(ConfigError, match="native, exact"):
        LearnedCodec.load(numerics="fast")


def test_each_choice_makes_another_job() -> None:
    base = EvaluateJob(run_id="1", dataset="kodak", data_sha256="2")
    others = [
        replace(base, codec=CodecSettings(numerics="exact")),
        replace(base, codec=CodecSettings(coder="tfc")),
    ]
    assert len({job.job_id for job in (base, *others)}) == 3
    for job in (base, *others):
        assert EvaluateJob.from_dict(job.to_dict()) == job
