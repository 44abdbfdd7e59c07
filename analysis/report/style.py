"""Colours and markers: the same in the HTML report and in the static figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Okabe & Ito 2008, for all kinds of colour vision; black is kept for the frontier.
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#F0E442",
)
# Names of the HTML report's markers, and matplotlib's signs for them. One more than
# colours: 56 families differ in colour, marker or both.
MARKERS = {
    "circle": "o",
    "square": "s",
    "triangle": "^",
    "diamond": "D",
    "inverted": "v",
    "pentagon": "p",
    "cross": "P",
    "hexagon": "h",
}
# Paul Tol's "muted" scheme: components must not look like families.
COMPONENT_COLOURS = (
    "#332288",
    "#88CCEE",
    "#44AA99",
    "#DDCC77",
    "#CC6677",
    "#117733",
    "#AA4499",
    "#999933",
)
BASELINE_DASHES = {
    "bpg444-tfc": (1, 3),
    "vtm-compressai": (6, 3),
    "minnen-2020-icip-tfc": (6, 3, 1, 3),
    "paper-elic2022_mse": (12, 3),
}
# Of classical codecs that were measured in the same sweep.
CLASSICAL_DASHES = ((1, 0), (5, 2), (1, 2), (5, 2, 1, 2))


@dataclass(frozen=True)
class FamilyStyle:
    family: str
    colour: str
    marker: str


def family_styles(families: Iterable[str]) -> list[FamilyStyle]:
    """A colour and a marker for each family, in alphabetical order."""
    markers = list(MARKERS)
    return [
        FamilyStyle(family, COLOURS[i % len(COLOURS)], markers[i % len(markers)])
        for i, family in enumerate(sorted(set(families)))
    ]
