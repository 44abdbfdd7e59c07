"""What an overfitted codec is made of, and the named ones. No JAX here."""

from __future__ import annotations

from dataclasses import dataclass

from rdc.specs.base import Spec, require, unknown_name

Shape = tuple[int, int]  # rows, columns of a grid
Offset = tuple[int, int]  # row, column, from the latent that is coded

PREFIX = "overfitted_"
# From low rate to high, as lambda of bpp + lmbda * mse_255: 0.0125 is COOL-CHIC's
# 0.00123 of mse_1 + l bpp.
LMBDAS = (0.0016, 0.0032, 0.0063, 0.0125, 0.025, 0.05)
MAX_TERMS = 64  # of one sum of the integer decoder

# Neighbours that are decoded before a latent, nearest first; at most three columns to
# the right, so that row i + 1 may be decoded four columns behind row i.
NEIGHBOURS: tuple[Offset, ...] = (
    (0, -1),
    (-1, 0),
    (-1, -1),
    (-1, 1),
    (0, -2),
    (-2, 0),
    (-1, -2),
    (-1, 2),
    (-2, -1),
    (-2, 1),
    (-2, -2),
    (-2, 2),
    (0, -3),
    (-3, 0),
    (-3, -1),
    (-3, 1),
    (-1, -3),
    (-1, 3),
    (0, -4),
    (-2, -3),
    (-2, 3),
    (-3, -2),
    (-3, 2),
    (-4, 0),
)
REACH = 4  # rows above, columns left and right, of all neighbours


@dataclass(frozen=True, kw_only=True)
class OverfittedSpec(Spec):
    """Sizes of the decoder that is fitted to each image.

    Attributes:
      grids: of latents, one channel each; grid k has ceil(H / 2^k) rows.
      context: how many neighbours in its grid the entropy network of a latent sees.
      coarser: of how many coarser grids it sees the latent at the same place.
      entropy_widths: of its hidden layers.
      synthesis_width: of the hidden layer of the synthesis.
      residual_blocks: 3x3 on the three colours, after it.
      lmbdas: operating points, lowest rate first; no part of the identity.
    """

    grids: int = 7
    context: int = 16
    coarser: int = 2
    entropy_widths: tuple[int, ...] = (16, 16)
    synthesis_width: int = 16
    residual_blocks: int = 2
    lmbdas: tuple[float, ...] = LMBDAS

    def __post_init__(self) -> None:
        require(2 <= self.grids <= 10, "overfitted.grids is 2 to 10", self.grids)
        require(
            1 <= self.context <= len(NEIGHBOURS),
            f"overfitted.context is 1 to {len(NEIGHBOURS)}",
            self.context,
        )
        require(
            1 <= self.coarser < self.grids,
            "overfitted.coarser is at least 1 and less than grids",
            self.coarser,
        )
        widths = (*self.entropy_widths, self.synthesis_width)
        require(
            bool(self.entropy_widths) and all(1 <= w <= MAX_TERMS for w in widths),
            f"overfitted widths are 1 to {MAX_TERMS}",
            widths,
        )
        require(
            0 <= self.residual_blocks <= 4,
            "overfitted.residual_blocks is 0 to 4",
            self.residual_blocks,
        )
        require(
            bool(self.lmbdas)
            and all(v > 0 for v in self.lmbdas)
            and list(self.lmbdas) == sorted(set(self.lmbdas)),
            "overfitted.lmbdas are positive and ascend",
            self.lmbdas,
        )

    @property
    def entropy_inputs(self) -> int:
        """Numbers that the entropy network sees."""
        return self.context + self.coarser

    @property
    def neighbours(self) -> tuple[Offset, ...]:
        return NEIGHBOURS[: self.context]

    def grid_shapes(self, height_px: int, width_px: int) -> tuple[Shape, ...]:
        """Rows and columns of each grid, the finest first."""
        return tuple(
            (-(-height_px // 2**k), -(-width_px // 2**k)) for k in range(self.grids)
        )


# By MAC/px of the decoder, entropy network included.
PRESETS: dict[str, OverfittedSpec] = {
    f"{PREFIX}300": OverfittedSpec(
        context=8, entropy_widths=(8,), synthesis_width=8, residual_blocks=1
    ),
    f"{PREFIX}600": OverfittedSpec(
        context=10, entropy_widths=(8, 8), synthesis_width=16
    ),
    f"{PREFIX}1200": OverfittedSpec(
        context=16, entropy_widths=(16, 16), synthesis_width=16
    ),
    f"{PREFIX}2000": OverfittedSpec(
        context=20, entropy_widths=(16, 16, 16), synthesis_width=48
    ),
}


def preset(name: str) -> OverfittedSpec:
    """The spec of a named codec; raises `ConfigError`."""
    if name not in PRESETS:
        raise unknown_name("overfitted codec", name, list(PRESETS))
    return PRESETS[name]
