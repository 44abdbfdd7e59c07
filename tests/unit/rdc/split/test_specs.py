"""Split methods as plain data and back."""

from __future__ import annotations

import pytest

from rdc.errors import ConfigError
from rdc.specs.tasks import TaskRecipe
from rdc.split.specs import METHODS, StudentMethod, parse_method

LEAST = {
    "input": {"codec": "jpeg", "rate": 10},
    "features": {"rate": 90},
    "placement": {"networks": {"stage": 2, "channels": 512}, "beta": 0.1},
    "student": {"beta": 0.08},
    "end_to_end": {"beta": 1e-6},
    "reduction": {},
}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_read_from_what_it_writes(name: str) -> None:
    method = parse_method({"name": name, **LEAST[name]})
    assert parse_method(method.to_dict()) == method
    assert method.identity()["name"] == name
    assert "=" in method.setting


def test_published_recipes_are_the_defaults() -> None:
    method = StudentMethod(beta=0.08)
    assert method.distillation.fit(1_281_167, seed=0).steps == 200_183
    assert method.fine_tuning.optimizer.name == "sgd"
    assert TaskRecipe(epochs=1.5, batch=2).fit(3, seed=0).steps == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "studnt", "beta": 1}, "Did you mean student"),
        ({"name": "student", "beta": 0}, "beta is positive"),
        (
            {"name": "placement", "beta": 1, "networks": {"stage": 6, "channels": 9}},
            "after one of a network's stages 1 to 4, or after the pooling",
        ),
        ({"name": "features", "codec": "jpg", "rate": 1}, "Did you mean jpeg"),
        (
            {"name": "reduction", "networks": {"bottleneck_channels": 0}},
            "channels are positive",
        ),
    ],
)
def test_what_no_method_is(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_method(values)
