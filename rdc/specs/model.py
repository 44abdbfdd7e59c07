"""A model: what one training makes, at all of its rates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rdc.identity import NUMERICS_VERSION, content_id
from rdc.specs.base import Spec, added, require
from rdc.specs.coding import MAX_RATES, OperatingPoint
from rdc.specs.components import ArchitectureSpec
from rdc.specs.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Spec):
    """Everything about a trained model that `run_id` identifies.

    Attributes:
      recipe: how it is trained, the weight of the distortion left out.
      rates: the values of lambda, loss = bpp + lambda * distortion, one per operating
        point: ascending, at most 16. Several make a model of variable rate: every
        training image is given one of them.
      data_sha256: of the training images.
      init_from: `run_id` of the model whose weights it starts from.
    """

    architecture: ArchitectureSpec
    recipe: Recipe
    rates: tuple[float, ...]
    data_sha256: str
    init_from: str | None = added(None)

    def __post_init__(self) -> None:
        rates = self.rates
        rule = "rates (train.lmbda) are different positive numbers, ascending"
        require(len(rates) >= 1 and min(rates) > 0, rule, rates)
        require(rates == tuple(sorted(set(rates))), rule, rates)
        rule = f"a model has at most {MAX_RATES} rates (train.lmbda)"
        require(len(rates) <= MAX_RATES, rule, len(rates))
        multiple = self.architecture.padding_multiple_px
        crop_px = self.recipe.crop_px
        require(
            crop_px % multiple == 0,
            f"train.crop_px is a multiple of the architecture's stride ({multiple})",
            crop_px,
            f"use {max(round(crop_px / multiple), 1) * multiple}",
        )
        require(
            self.init_from is None or self.recipe.start == "random",
            "train.start is random where init_from gives the weights",
            self.recipe.start,
        )
        needs = {"mask_decay": "method", "encoder": "trained"}
        for value, name in needs.items():
            require(
                getattr(self.recipe, name) != value or self.init_from is not None,
                f"train.{name}={value} starts from another model",
                "none",
                "name it: train.teacher=RUN_OR_FOLDER",
            )

    def check_teacher(self, teacher: ArchitectureSpec, num_rates: int) -> None:
        """Raises `ConfigError` unless a training can start from such a model.

        Whether its widths fit is up to `rdc.training.widths`.

        Args:
          num_rates: of the model.
        """
        own = self.architecture
        if self.recipe.method == "mask_decay":
            for kind in ("transform", "entropy_model", "hyper_transform"):
                ours, theirs = getattr(own, kind), getattr(teacher, kind)
                widths_differ = kind == "transform" and type(ours) is type(theirs)
                require(
                    widths_differ or ours == theirs,
                    f"teacher and student of mask decay have one {kind}: widths of the "
                    "transform alone differ",
                    " and ".join(getattr(x, "name", "none") for x in (theirs, ours)),
                )
            require(
                num_rates == len(self.rates),
                "teacher and student have as many rates",
                f"{num_rates} and {len(self.rates)}",
            )
            return
        fits = own in (teacher, replace(teacher, encoders=own.encoders))
        require(
            fits and own.encoders - teacher.encoders in (0, 1),
            "a training starts from a model of its own architecture, or of one encoder "
            "less; with train.method=mask_decay from a wider one",
            f"{teacher.family}",
        )
        require(
            num_rates in (1, len(self.rates)),
            f"a training of {len(self.rates)} rates starts from a model of as many, or "
            "one",
            num_rates,
        )

    @property
    def run_id(self) -> str:
        """16 hex digits of architecture, recipe, rates, data and numerics."""
        return content_id("model", self.identity())

    @property
    def curve_id(self) -> str:
        """Equal for models that are points of one curve.

        A model of several rates is a curve of its own; models of one rate form one
        with those equal to them but for the rate.
        """
        if len(self.rates) > 1:
            return content_id("curve", self.identity())
        values = self.identity()
        del values["rates"]
        return content_id("curve", values)

    @property
    def operating_points(self) -> tuple[OperatingPoint, ...]:
        """In the order of `rates`."""
        return tuple(
            OperatingPoint(rate=i, lmbda=v, distortion=self.recipe.distortion)
            for i, v in enumerate(self.rates)
        )

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "numerics_version": NUMERICS_VERSION}
