"""How much of the latents entropy parameters depend on."""

from __future__ import annotations

from rdc.layers.reach import Reach, reach
from rdc.model import CompressionModel


def entropy_reach_px(model: CompressionModel) -> float:
    """How far entropy parameters see z_hat and y_hat, px; infinite: all of them."""
    spec = model.spec
    if model.hyper_synthesis is None:
        return 0
    hyper = reach(model.hyper_synthesis, Reach(0, spec.padding_multiple_px))
    found = [hyper.px]
    for step in model.steps:
        features = reach(step.projection, hyper)
        ends = [reach(step.mean, features), reach(step.scale, features)]
        if step.lrp is not None:
            refined = reach(step.lrp, features)
            ends.append(refined)
            if step.lrp_merge is not None:
                ends.append(reach(step.lrp_merge, refined))
        found += [end.px for end in ends]
    return max(found)
