"""Grids expand to the points that their axes say, and refuse what cannot be."""

import pytest

from rdc.errors import ConfigError
from rdc.jobs.plan_row import Cost
from rdc.specs.recipe import Recipe
from sweeps.grid import Grid
from sweeps.plan import Plan, chosen, make_plan

BASE = {
    "transform": "conv",
    "entropy_model": "mean_scale_hyperprior",
    "hyper_transform": "conv",
}
TRAIN = {"lmbda": 0.0125, **Recipe(steps=10).to_dict()}


def plan(grid: dict, **options) -> Plan:
    parsed = Grid.from_dict({"name": "test", **grid}, "grid")
    return make_plan(parsed, TRAIN, "data", **options)


def widths(made: Plan) -> list[tuple[int, ...]]:
    return [run.model.architecture.transform.channels for run in made.runs]


def test_product_is_cartesian_and_zip_advances_together():
    made = plan(
        {
            "base": BASE,
            "blocks": [
                {
                    "product": {"train.lmbda": [0.01, 0.02, 0.03]},
                    "zip": {
                        "transform.latent_channels": [64, 96],
                        "train.seed": [1, 2],
                    },
                }
            ],
        }
    )
    assert [
        (
            run.model.rates,
            run.model.architecture.transform.latent_channels,
            run.model.recipe.seed,
        )
        for run in made.runs
    ] == [
        ((lmbda,), latent, seed)
        for lmbda in (0.01, 0.02, 0.03)
        for latent, seed in ((64, 1), (96, 2))
    ]


def test_axes_refer_to_sets_of_mappings_merged_into_the_component():
    made = plan(
        {
            "base": {**BASE, "transform.latent_channels": 64},
            "sets": {"sizes": [{"channels": [8, 8, 8]}, {"channels": [8, 16, 24]}]},
            "blocks": [{"product": {"transform": "sizes"}}],
        }
    )
    assert widths(made) == [(8, 8, 8), (8, 16, 24)]
    latents = {run.model.architecture.transform.latent_channels for run in made.runs}
    assert latents == {64}


def test_a_name_replaces_the_component_and_dotted_keys_act_after_it():
    made = plan(
        {
            "base": {**BASE, "transform.channels": [8, 8, 8]},
            "blocks": [{"product": {"transform": ["conv", "elic"]}}],
        }
    )
    assert [run.model.architecture.family for run in made.runs] == [
        "conv/hyperprior:conv",
        "elic/hyperprior:conv",
    ]
    assert widths(made) == [(8, 8, 8), (8, 8, 8)]


def test_architecture_takes_a_named_one_whose_fields_can_change():
    made = plan(
        {
            "blocks": [
                {"product": {"architecture": ["rdc_g", "bmshj2018_factorized"]}},
                {
                    "base": {"architecture": "rdc_g"},
                    "product": {"transform.latent_channels": [192]},
                },
            ]
        }
    )
    first, second, third = (run.model.architecture for run in made.runs)
    assert first.transform.channels == third.transform.channels == (112, 160, 192)
    assert second.hyper_transform is None
    assert third.transform.latent_channels == 192


def test_blocks_unite_and_equal_runs_count_once():
    block = {"base": BASE, "product": {"transform.latent_channels": [64, 320]}}
    made = plan({"blocks": [block, block, {"base": BASE}]})
    assert len(made.runs) == 2
    assert made.duplicates == 3  # the default width is 320


def test_exclude_removes_points_by_resolved_values():
    made = plan(
        {
            "base": BASE,
            "blocks": [
                {
                    "product": {
                        "transform": ["conv", "elic"],
                        "transform.channels": [[8, 8, 8], [16, 16, 16]],
                    },
                    "exclude": [
                        {"transform": "elic", "transform.channels": [16, 16, 16]}
                    ],
                }
            ],
        }
    )
    assert len(made.runs) == 3
    assert made.excluded == 1


def cost_of(architecture) -> Cost:
    width = architecture.transform.latent_channels
    return Cost(
        kflops_per_px=float(width),
        kmacs_per_px=width / 2,
        kmacs_per_px_encode=float(width),
        decoder_peak_bytes_per_px=float(width),
        params_total=width,
        params_decoder=width,
        components_json="[]",
    )


def test_constraints_drop_by_counted_cost_and_count_each_architecture_once():
    counted = []

    def count(architecture):
        counted.append(architecture)
        return cost_of(architecture)

    made = plan(
        {
            "base": BASE,
            "blocks": [
                {
                    "product": {
                        "transform.latent_channels": [64, 128, 192],
                        "train.lmbda": [0.01, 0.02],
                    }
                }
            ],
            "constraints": {"kflops_per_px": {"min": 65, "max": 191}},
            "expect": {"jobs": 2},
        },
        count_cost=count,
    )
    assert made.over_cost == 4
    assert len(counted) == 3
    assert {run.cost.kflops_per_px for run in made.runs} == {128.0}


def test_runs_are_chosen_by_the_begin_of_an_id():
    made = plan(
        {
            "base": BASE,
            "blocks": [
                {
                    "product": {
                        "transform.channels": [[8, 8, 8], [16, 16, 16]],
                        "train.seed": [0, 1],
                    }
                }
            ],
        }
    )
    first, *_, last = made.runs
    assert chosen(made, ()) == made
    assert chosen(made, [last.run_id[:6]]).runs == (last,)
    assert chosen(made, [last.run_id, first.arch_id[:8]]).runs == (
        *made.runs[:2],
        last,
    )


def test_names_follow_the_identity_of_the_architecture():
    named = plan({"blocks": [{"base": {"architecture": "rdc_g"}}]})
    identity = named.runs[0].arch_id
    spelled_out = plan(
        {"blocks": [{"base": {**BASE, "transform.channels": [112, 160, 192]}}]},
        names={identity: "rdc_g"},
    )
    changed = plan(
        {"blocks": [{"base": {"architecture": "rdc_g", "transform.kernel": 3}}]},
        names={identity: "rdc_g"},
    )
    assert spelled_out.runs[0].name == "rdc_g"
    assert changed.runs[0].name is None


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"blocks": [{"base": BASE}], "expect": {"jobs": 3}}, "expect.jobs = 3"),
        ({"blocks": [{"base": BASE, "products": {}}]}, "key of grid.blocks"),
        ({"blocks": [{"base": BASE}], "block": 1}, "key of grid"),
        ({"blocks": [{"product": {"transform": "sizes"}}]}, "unknown set"),
        ({"blocks": [{"product": {"transform": []}}]}, "list of values"),
        ({"blocks": [{"product": {"train.lmbda": 0.1}}]}, "list of values"),
        (
            {"blocks": [{"zip": {"train.lmbda": [0.1], "train.seed": [1, 2]}}]},
            "one length",
        ),
        ({"blocks": [{"base": {**BASE, "transform.chanels": 3}}]}, "chanels"),
        ({"blocks": [{"base": {**BASE, "transfrom": "elic"}}]}, "transfrom"),
        ({"blocks": [{"base": {**BASE, "transform": "ellic"}}]}, "ellic"),
        ({"blocks": [{"base": {**BASE, "train.steps": 0}}]}, "train.steps"),
        ({"blocks": [{"base": {**BASE, "train.lmbda": "much"}}]}, "train.lmbda"),
        ({"blocks": [{"base": {**BASE, "train.lmbda": -0.1}}]}, "positive numbers"),
        ({"blocks": [{"base": {**BASE, "train.lmda": 0.1}}]}, "mean lmbda"),
        ({"blocks": {}}, "grid.blocks is a list"),
        ({"blocks": [3]}, r"grid.blocks\[0\] is a mapping"),
        ({"blocks": [{"base": {**BASE, "train.steps": "many"}}]}, "train.steps"),
        ({"blocks": [{"base": {"transform.kernel": 3}}]}, "chosen before"),
        ({"blocks": [{"base": {"transform": 3}}]}, "a name or a mapping"),
        ({"blocks": [{"base": {"architecture": "rdc_z"}}]}, "rdc_z"),
        (
            {"blocks": [{"base": BASE, "exclude": [{"transform": "elic"}]}]},
            "every exclude entry",
        ),
        (
            {"blocks": [{"base": BASE}], "constraints": {"kflops": {"max": 1}}},
            "kflops",
        ),
        (
            {"blocks": [{"base": BASE}], "constraints": {"kmacs_per_px": {"max": 1}}},
            "need the stage complexity",
        ),
        ({"blocks": [{"base": {**BASE, "hyper_transform": None}}]}, "hyper_transform"),
    ],
)
def test_what_cannot_be_is_refused_by_name(grid, message):
    with pytest.raises(ConfigError, match=message):
        plan(grid)


def test_an_impossible_point_says_which_one():
    grid = {
        "base": {**BASE, "entropy_model": "charm"},
        "blocks": [{"product": {"transform.latent_channels": [320, 64]}}],
    }
    with pytest.raises(ConfigError, match=r"block 0: .*latent_channels=64.*num_slices"):
        plan(grid)
