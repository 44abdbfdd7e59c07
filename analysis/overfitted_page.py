"""`python -m analysis.overfitted_page OUT`: writes docs/results/overfitted.md.

OUT is that of a sweep which fitted codecs to images (`+grid=overfitted_kodak`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from analysis import baselines
from analysis.bd_rate import MIN_POINTS, bd_rate
from analysis.codec_points import CLASSICAL, OVERFITTED, codec_points
from analysis.gather import gather
from analysis.measures import mse_of_psnr
from analysis.pages import number, run, table
from rdc.errors import DataError
from rdc.overfitted.schedule import EFFORT_STEPS
from rdc.system.files import write_bytes_atomically

LMBDA = 0.0125
PAGE = Path(__file__).parents[1] / "docs/results/overfitted.md"
TEMPLATE = """\
# Codecs overfitted to each image

RD loss: bpp + {lmbda:g} MSE, from the bytes of whole files and rounded pixels; means
over images. Seconds and milliseconds are of one call per image on {machine}, beside
whatever else it did; encoding includes the compilation for its size.

`python launch/sweep.py +grid=overfitted_kodak data.eval=KODAK out=OUT`, then
`python -m analysis.overfitted_page OUT`

## Means over {images} images of {dataset}

{means}

## By image

RD losses; classical codecs each at the best setting for the image. Cool-chic 5.0 as it
published its points (`analysis/baselines/cool_chic_kodak.csv`), at its lambda 0.001,
which is nearest to this one.

{by_image}

## Several rates

{rates}
"""


_MEANS = (
    *("codec", "steps", "images", "kFLOPs/px", "bpp", "PSNR, dB", "RD loss"),
    *("encoding, s", "decoding, ms", "coded over estimated"),
)


def write_page(out: Path, path: Path = PAGE) -> Path:
    """Gathers the records of OUT, and writes their page.

    Raises:
      DataError: no overfitted codec was measured at LMBDA.
    """
    tables = gather(out)
    write_bytes_atomically(path, page(tables["codecs"], tables["hardware"]).encode())
    return path


def page(codecs: pd.DataFrame, hardware: pd.DataFrame) -> str:
    """The text, from tables of these names; raises as `write_page`."""
    labels = codec_points(codecs)[["codec_id", "effort", "dataset", "label"]]
    keys = ["codec_id", "effort", "dataset"]
    rows = codecs.merge(labels.drop_duplicates(keys), on=keys)
    rows = rows.assign(rd_loss=rows["bpp_coded"] + LMBDA * rows["mse_255"])
    fitted = rows["codec_class"] == OVERFITTED
    at_lmbda = rows[fitted & (rows["setting"] == LMBDA)]
    if at_lmbda.empty:
        raise DataError(
            f"the page is about codecs fitted at lambda {LMBDA:g}",
            "none",
            "run the sweep first",
        )
    dataset = at_lmbda["dataset"].value_counts().index[0]
    rows, at_lmbda = (t[t["dataset"] == dataset] for t in (rows, at_lmbda))
    classical = rows[rows["codec_class"] == CLASSICAL]
    classical = classical[classical["image"].isin(at_lmbda["image"])]
    machines = hardware["host_cpu"].dropna().unique()
    return TEMPLATE.format(
        lmbda=LMBDA,
        machine=" and ".join(sorted(machines)) or "an unknown machine",
        images=at_lmbda["image"].nunique(),
        dataset=dataset,
        means=_means(at_lmbda, classical),
        by_image=_by_image(at_lmbda, classical),
        rates=_rates(rows[rows["codec_class"] == OVERFITTED], classical),
    )


def _means(fitted: pd.DataFrame, classical: pd.DataFrame) -> str:
    lines: list[Sequence[str]] = [_MEANS]
    for label, group in _cheapest_first(fitted):
        ratio = (group["bpp_coded"] / group["bpp_estimated"] - 1).median()
        lines.append(
            (
                label,
                str(EFFORT_STEPS[group["effort"].iloc[0]]),
                str(len(group)),
                number(group["kflops_per_px"].mean(), ".1f"),
                number(group["bpp_coded"].mean(), ".4f"),
                number(group["psnr_db"].mean(), ".2f"),
                number(group["rd_loss"].mean(), ".3f"),
                number(group["encode_ms"].mean() / 1000, ".0f"),
                number(group["decode_ms"].mean(), ".0f"),
                number(100 * ratio, "+.2f", " %"),
            )
        )
    for label, group in classical.groupby("label", sort=False):
        means = group.groupby("setting")["rd_loss"].mean()
        best = group[group["setting"] == means.idxmin()]
        lines.append(
            (
                *(f"{label}, best setting", "", str(len(best)), ""),
                number(best["bpp_coded"].mean(), ".4f"),
                number(best["psnr_db"].mean(), ".2f"),
                number(best["rd_loss"].mean(), ".3f"),
                number(best["encode_ms"].mean() / 1000, ".2f"),
                number(best["decode_ms"].mean(), ".0f"),
                "",
            )
        )
    return table(lines)


def _by_image(fitted: pd.DataFrame, classical: pd.DataFrame) -> str:
    groups = [*_cheapest_first(fitted), *classical.groupby("label", sort=False)]
    columns = {str(label): g.groupby("image")["rd_loss"].min() for label, g in groups}
    columns["Cool-chic 5.0"] = _cool_chic()
    losses = pd.DataFrame(columns).reindex(sorted(fitted["image"].unique()))
    losses.loc["**mean**"] = losses.mean(skipna=False)
    lines: list[Sequence[str]] = [("image", *losses.columns)]
    for name, *row in losses.itertuples():
        lines.append((str(name), *(number(value, ".3f") for value in row)))
    return table(lines)


def _rates(fitted: pd.DataFrame, classical: pd.DataFrame) -> str:
    """BD-rates of means over the images that have all lambdas, per codec."""
    lines: list[Sequence[str]] = [
        ("codec", "lambdas", "images", "against", "BD-rate", "range, dB")
    ]
    for label, group in _cheapest_first(fitted):
        lmbdas = sorted(group["setting"].unique())
        if len(lmbdas) < MIN_POINTS:
            continue
        counts = group["image"].value_counts()
        images = counts.index[counts == len(lmbdas)]
        curve = _curve(group[group["image"].isin(images)])
        for anchor, other in classical.groupby("label", sort=False):
            against = _curve(other[other["image"].isin(images)])
            low = max(curve["psnr_db"].min(), against["psnr_db"].min())
            high = min(curve["psnr_db"].max(), against["psnr_db"].max())
            saved = bd_rate(
                *(against["bpp_coded"], against["psnr_db"]),
                *(curve["bpp_coded"], curve["psnr_db"]),
                psnr_range_db=(low, high),
            )
            told = (label, ", ".join(f"{v:g}" for v in lmbdas), str(len(images)))
            lines.append(
                (*told, str(anchor), f"{saved:+.1f} %", f"{low:.1f}-{high:.1f}")
            )
    if len(lines) == 1:
        return f"Not measured: fewer than {MIN_POINTS} lambdas."
    return table(lines)


def _curve(rows: pd.DataFrame) -> pd.DataFrame:
    means = rows.groupby("setting")[["bpp_coded", "psnr_db"]].mean()
    return means.sort_values("bpp_coded")


def _cool_chic() -> pd.Series:
    points = baselines.cool_chic()
    points = points[points["lmbda"] == 0.001].set_index("image")
    return points["bpp"] + LMBDA * mse_of_psnr(points["psnr_db"])


def _cheapest_first(fitted: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    order = ["kflops_per_px", "effort", "image"]
    groups = fitted.sort_values(order).groupby("label", sort=False)
    return [(str(label), group) for label, group in groups]


def main(arguments: list[str] | None = None) -> int:
    return run("analysis.overfitted_page", write_page, PAGE, arguments)


if __name__ == "__main__":
    sys.exit(main())
