"""Other people's codecs as points with a cost: claims, never measurements of ours.

`baselines/reference_points.csv` holds the numbers as published. What keeps them from
being compared wrongly is here: a cost of encoder and decoder together is no cost of a
decoder, BD-rates of two anchors share no column, and the RD loss that follows from a
published curve is another measure than a mean over images.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import baselines
from analysis.measures import mse_of_psnr
from rdc.errors import ConfigError, DataError
from rdc.specs.base import unknown_name

PUBLISHED = "published"
DECODER, BOTH_SIDES = "decode", "encode+decode"
# Of the RD losses in the CSV; those of curves are known at every lambda.
LMBDA = 0.0125
_FLOPS_PER_MAC = 2
_BD_RATE = "bd_rate_percent"
# What sources call an anchor, and its curve in `analysis.baselines`.
_CURVES = {"BPG": "bpg444-tfc"}


@dataclass(frozen=True)
class ReferencePoint:
    """One published codec; None where the source says nothing.

    Attributes:
      codec_class: `amortised`, or `overfitted` to each image.
      kmacs_per_px: as published, of what `mac_scope` names.
      mac_scope: `decode`, or `encode+decode`.
      bd_rate_percent: against `bd_anchor` on `bd_dataset`; less is better.
      curve: its points on Kodak, a codec of `analysis.baselines.kodak`.
      rd_loss_of_mean_psnr: at lambda 0.0125.
      decode_ms: of an image of `decode_image` pixels on `decode_device`.
      decode_includes: `network`, or `network+coding`.
      evidence: `paper` or `repository`.
    """

    codec: str
    year: int
    codec_class: str
    kmacs_per_px: float
    mac_scope: str
    bd_rate_percent: float | None
    bd_anchor: str | None
    bd_dataset: str | None
    curve: str | None
    rd_loss_of_mean_psnr: float | None
    decode_ms: float | None
    decode_image: str | None
    decode_device: str | None
    decode_includes: str | None
    source: str
    evidence: str

    def __post_init__(self) -> None:
        if not self.source:
            raise DataError("a published point has its source", f"none of {self.codec}")
        if self.mac_scope not in (DECODER, BOTH_SIDES):
            raise unknown_name("mac_scope", self.mac_scope, [DECODER, BOTH_SIDES])
        for value, *context in (
            (self.bd_rate_percent, self.bd_anchor, self.bd_dataset),
            (self.decode_ms, self.decode_image, self.decode_device),
        ):
            if value is not None and None in context:
                raise DataError(
                    "a published number says what it is of: a BD-rate its anchor and "
                    "images, a time its image and device",
                    f"{value:g} of {self.codec} alone",
                )

    @property
    def kflops_per_px(self) -> float | None:
        """Of the decoder; None where only the cost of both sides is known."""
        return self._kflops() if self.mac_scope == DECODER else None

    @property
    def kflops_per_px_both_sides(self) -> float | None:
        """Of encoder and decoder together, where only that is known."""
        return self._kflops() if self.mac_scope == BOTH_SIDES else None

    def _kflops(self) -> float:
        return _FLOPS_PER_MAC * self.kmacs_per_px

    def rd_loss(self, lmbda: float) -> float | None:
        """The least bpp + lmbda * MSE of the mean PSNR along the published curve.

        None where there is no curve, or its end is the best: what lies beyond was not
        published. Without a curve, the published number at its lambda.
        """
        if self.curve is not None:
            return _least_loss(baselines.kodak_curve(self.curve), lmbda)
        return self.rd_loss_of_mean_psnr if lmbda == LMBDA else None


@cache
def reference_points() -> tuple[ReferencePoint, ...]:
    """All of them, in the order of the file."""
    path = Path(__file__).with_name("baselines") / "reference_points.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(_parse(row) for row in csv.DictReader(file))


_NUMBERS = ("kmacs_per_px", _BD_RATE, "rd_loss_of_mean_psnr", "decode_ms")


def _parse(row: dict[str, str]) -> ReferencePoint:
    values: dict = {name: text or None for name, text in row.items()}
    for name in _NUMBERS:
        values[name] = None if values[name] is None else float(values[name])
    values["year"] = int(values["year"])
    return ReferencePoint(**values)


def anchors(points: Iterable[ReferencePoint]) -> list[str]:
    """The anchors of their BD-rates, in order of appearance."""
    return list(dict.fromkeys(p.bd_anchor for p in points if p.bd_anchor is not None))


def chosen(
    anchor: str | None = None, max_kflops: float | None = None
) -> list[ReferencePoint]:
    """Points with a BD-rate against this anchor, whose decoder costs no more.

    Raises:
      ConfigError: no BD-rate is against the anchor, or nothing costs so little.
    """
    points = list(reference_points())
    if anchor is not None:
        known = anchors(points)
        if anchor not in known:
            raise unknown_name("anchor", anchor, known)
        points = [point for point in points if point.bd_anchor == anchor]
    if max_kflops is not None:
        cheap = [p for p in points if _known(p.kflops_per_px) <= max_kflops]
        if not cheap:
            least = min(_known(point.kflops_per_px) for point in points)
            raise ConfigError(
                "some published decoder costs at most the setting max_kflops",
                f"{max_kflops:g} kFLOPs/px",
                "none of these says what its decoder costs"
                if np.isinf(least)
                else f"the cheapest one costs {least:g}",
            )
        points = cheap
    return points


def _known(cost: float | None) -> float:
    return np.inf if cost is None else cost


def table(points: Sequence[ReferencePoint]) -> pd.DataFrame:
    """One row each, with a column `bd_rate_percent.ANCHOR` for every anchor, and costs
    of decoders apart from those of both sides."""
    rows = []
    for point in points:
        values = asdict(point) | {
            "kflops_per_px": point.kflops_per_px,
            "kflops_per_px_both_sides": point.kflops_per_px_both_sides,
            "rd_loss_of_mean_psnr": point.rd_loss(LMBDA),
            "lmbda": LMBDA,
        }
        if point.bd_anchor is not None:
            values[f"{_BD_RATE}.{point.bd_anchor}"] = point.bd_rate_percent
        rows.append(values)
    columns = [
        *("codec", "year", "codec_class", "kflops_per_px", "kflops_per_px_both_sides"),
        *(f"{_BD_RATE}.{anchor}" for anchor in anchors(points)),
        *("bd_dataset", "rd_loss_of_mean_psnr", "lmbda", "curve"),
        *("decode_ms", "decode_image", "decode_device", "decode_includes"),
        *("source", "evidence"),
    ]
    return pd.DataFrame(rows, columns=columns)


def claims(lmbdas: Iterable[float]) -> pd.DataFrame:
    """What may stand on an axis of decoder costs, at each of these lambdas.

    Returns:
      `label family lmbda distortion kflops_per_px rd_loss_of_mean_psnr source`.
    """
    columns = ["label", "family", "lmbda", "distortion", "kflops_per_px"]
    rows = [
        (p.codec, PUBLISHED, lmbda, "mse", p.kflops_per_px, p.rd_loss(lmbda), p.source)
        for lmbda in lmbdas
        for p in reference_points()
    ]
    columns += ["rd_loss_of_mean_psnr", "source"]
    found = pd.DataFrame(rows, columns=columns).dropna(ignore_index=True)
    numbers = ["lmbda", "kflops_per_px", "rd_loss_of_mean_psnr"]
    return found.astype(dict.fromkeys(numbers, float))


def claimed_savings(anchor: str) -> pd.DataFrame:
    """Published BD-rates on Kodak against one anchor, over the cost of decoders: table
    1 of Minnen & Johnston 2023 against BPG.

    Sources give no range of PSNR, so that these stand beside BD-rates and never among
    them.

    Args:
      anchor: as in the table `curves`; one version of VTM is no other, so that BPG's
        curve alone is one that sources name.

    Returns:
      `label family kflops_per_px bd_rate_percent bd_anchor source`.
    """
    rows = [
        (p.codec, PUBLISHED, p.kflops_per_px, p.bd_rate_percent, anchor, p.source)
        for p in reference_points()
        if p.bd_dataset == "Kodak" and _CURVES.get(p.bd_anchor or "") == anchor
    ]
    columns = ["label", "family", "kflops_per_px", _BD_RATE, "bd_anchor", "source"]
    found = pd.DataFrame(rows, columns=columns).dropna(ignore_index=True)
    return found.astype({"kflops_per_px": float, _BD_RATE: float})


def _least_loss(curve: pd.DataFrame, lmbda: float) -> float | None:
    """Between two points the logarithm of the rate is linear in PSNR: there
    exp(a + b q) + lmbda 255^2 exp(-k q) is least where its derivative is zero."""
    psnr_db = curve["psnr_db"].to_numpy(float)
    log_rate = np.log(curve["bpp"].to_numpy(float))
    k = np.log(10) / 10
    b = np.diff(log_rate) / np.diff(psnr_db)
    a = log_rate[:-1] - b * psnr_db[:-1]
    best = (np.log(k * lmbda * 255**2 / b) - a) / (b + k)
    best = np.clip(best, psnr_db[:-1], psnr_db[1:])
    loss = np.exp(a + b * best) + lmbda * mse_of_psnr(best)
    at = best[loss.argmin()]
    return float(loss.min()) if psnr_db[0] < at < psnr_db[-1] else None
