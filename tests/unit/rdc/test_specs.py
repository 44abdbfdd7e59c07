"""Specs refuse what cannot be built, and say the rule, the value and the remedy."""

from __future__ import annotations

import dataclasses
import importlib
import re
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from rdc.architectures import NAMED, resolve
from rdc.errors import ConfigError
from rdc.jobs.job import BenchmarkJob, CodecJob, EvaluateJob, TrainJob, parse_job
from rdc.registry import REGISTRY, arch_id, parse_architecture
from rdc.specs.base import Spec, added
from rdc.specs.classical import ClassicalSpec
from rdc.specs.components import ArchitectureSpec
from rdc.specs.model import ModelSpec
from rdc.specs.recipe import Recipe
from rdc.specs.timing import BenchmarkSpec
from tests.architectures import ALL

ROOT = Path(__file__).parents[3]
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
                "transform": {"name": "conv", "latent_channels": 192},
                "entropy_model": {"name": "charm2020", "slice_widths": [16] * 10},
                "hyper_transform": "conv",
            },
            r"slice_widths add up to the latent width \(192\)",
        ),
        (
            {
                "transform": "conv",
                "entropy_model": {"name": "charm2020", "slice_widths": [160, 160]},
                "hyper_transform": "conv",
            },
            r"slice_widths has num_slices \(10\) entries; got \(160, 160\). Set both",
        ),
        (
            {
                "transform": "conv",
                "entropy_model": {"name": "charm", "slice_widths": [320, *[0] * 9]},
                "hyper_transform": "conv",
            },
            "slice_widths are positive",
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
    names: dict[str, list[str]] = {}
    for name, spec in NAMED.items():
        names.setdefault(arch_id(spec), []).append(name)
    # A pair of equal sides has the name of its size, too.
    several = [same for same in names.values() if len(same) > 1]
    assert several == [[f"evc_{2 * size}", f"evc_{size}"] for size in "lms"]
    with pytest.raises(ConfigError, match="unknown architecture; got 'rdc_h'"):
        resolve("rdc_h")


def test_jobs_survive_plain_data() -> None:
    architecture = ALL["conv-charm-conv"]
    model = ModelSpec(
        architecture=architecture, recipe=Recipe(), rates=(0.01,), data_sha256="ab"
    )
    train = TrainJob(model=model)
    jobs = [
        train,
        EvaluateJob(run_id=train.job_id, dataset="k", data_sha256="cd"),
        CodecJob(codec=ClassicalSpec(name="jpeg"), dataset="k", data_sha256="cd"),
        BenchmarkJob(
            architecture=architecture, hardware_id="ef", benchmark=BenchmarkSpec()
        ),
    ]
    assert [parse_job(job.to_dict()) for job in jobs] == jobs
    assert len({job.job_id for job in jobs}) == len(jobs)


@cache
def spec_classes() -> list[type[Spec]]:
    """Every spec of the packages whose specs may come into an identity.

    Private ones are parts of others and never stand alone.
    """
    for package in ("rdc", "sweeps", "launch/config"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if re.search(r"^class \w+\(.*Spec\b.*\):", path.read_text(), re.MULTILINE):
                relative = path.relative_to(ROOT).with_suffix("")
                importlib.import_module(".".join(relative.parts))

    def below(cls: type) -> list[type]:
        return [c for sub in cls.__subclasses__() for c in (sub, *below(sub))]

    found = dict.fromkeys(below(Spec))
    return [
        cls
        for cls in found
        if dataclasses.is_dataclass(cls)
        and not cls.__name__.startswith("_")
        and cls.__module__.startswith(("rdc.", "sweeps.", "launch."))
    ]


def with_later_field(cls: type[Spec], value: int) -> Spec:
    """An instance of `cls` as it may be one day, with one more field, default 7.

    Specs inside it have the field, too. Its values are of no meaning: identities do
    not depend on that.
    """
    later = dataclasses.make_dataclass(
        cls.__name__,
        [("later", int, added(7))],
        bases=(cls,),
        frozen=True,
        kw_only=True,
    )
    spec = object.__new__(later)
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        content = sample(hints[field.name], field.name, value)
        object.__setattr__(spec, field.name, content)
    object.__setattr__(spec, "later", value)
    return spec


def sample(hint: Any, name: str, value: int) -> Any:
    """Something for a field: extended specs where its type holds specs."""
    inner = next((c for c in leaves(hint) if issubclass(c, Spec)), None)
    if inner is None:
        return name
    if not dataclasses.is_dataclass(inner):  # the interface of components
        inner = next(c for c in spec_classes() if issubclass(c, inner))
    content = with_later_field(inner, value)
    outer = typing.get_origin(hint)
    if outer is tuple:
        return (content,)
    return {name: content} if outer in (dict, Mapping) else content


def leaves(hint: Any) -> list[type]:
    arguments = typing.get_args(hint)
    if arguments:
        return [leaf for argument in arguments for leaf in leaves(argument)]
    return [hint] if isinstance(hint, type) else []


def without_later(plain: Any) -> Any:
    if isinstance(plain, Mapping):
        return {k: without_later(v) for k, v in plain.items() if k != "later"}
    return [without_later(v) for v in plain] if isinstance(plain, list) else plain


@pytest.mark.parametrize("cls", spec_classes(), ids=lambda cls: cls.__name__)
def test_a_field_that_comes_later_changes_no_identity_at_its_default(
    cls: type[Spec],
) -> None:
    at_rest, in_use = (with_later_field(cls, value) for value in (7, 8))
    identity = at_rest.identity()
    assert "later" not in str(identity)
    assert "later" in in_use.identity()
    assert without_later(in_use.identity()) == identity


def test_the_law_sees_specs_of_every_package() -> None:
    names = {cls.__name__ for cls in spec_classes()}
    components = {c.__name__ for table in REGISTRY.values() for c in table.values()}
    assert components | {"Recipe", "ModelSpec", "Block", "DataSettings"} <= names


@pytest.mark.parametrize("kind", REGISTRY)
def test_a_later_field_of_a_component_renames_no_architecture(kind: str) -> None:
    spec = ALL["elic-charm-swint"]
    component = getattr(spec, kind)
    later = dataclasses.make_dataclass(
        "Later",
        [("later", int, added(7))],
        bases=(type(component),),
        frozen=True,
        kw_only=True,
    )
    fields = {f.name: getattr(component, f.name) for f in dataclasses.fields(component)}

    def renamed(value: int) -> ArchitectureSpec:
        return dataclasses.replace(spec, **{kind: later(**fields, later=value)})

    assert arch_id(renamed(7)) == arch_id(spec)
    assert arch_id(renamed(8)) != arch_id(spec)
