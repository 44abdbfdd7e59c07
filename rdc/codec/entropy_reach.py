"""How much of the latents entropy parameters depend on."""

from __future__ import annotations

from rdc.layers.reach import Reach, reach
from rdc.model import CompressionModel


def entropy_reach_px(model: CompressionModel) -> float:
    """How far entropy parameters see z_hat and y_hat, px; infinite: all of them."""
    spec = model.spec
    if model.hyper_synthesis is None:
        return 0
    hyper = reach(model.feature_network, Reach(0, spec.padding_multiple_px))
    found = [hyper.px]
    for step in model.steps:
        for chain in step.chains:
            end = hyper
            for network in chain:
                end = reach(network, end)
            found.append(end.px)
    return max(found)
