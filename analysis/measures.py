"""What points are compared by: one registry, which tables, plots and objectives read.

To add a measure, write a function and one line of `MEASURES`: it becomes a column of
the table `frontier`, an axis of the report and a name that objectives may have. The
metrics of images (`rdc.measurements.metrics`) are measures by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import pandas as pd

from rdc.measurements.metrics import METRICS
from rdc.specs.base import require, unknown_name

Values = TypeVar("Values", pd.Series, np.ndarray)
Column = Callable[[pd.DataFrame], pd.Series]


@dataclass(frozen=True)
class Measure:
    """A number that a point has.

    Attributes:
      label, unit: of an axis; the unit is empty where there is none.
      column: from a table to its column of this measure; `of` says from which.
        `image`: rows of `rate_distortion` with `lmbda` and `distortion`; the point's
        number is the mean over its images. `point`: rows of `frontier`, with the
        columns of `architectures`. `hardware`: medians of `analysis.decode_times`,
        per device and stage; the point's own number is that of the network alone on
        the device that timed most. `estimate`: what a compiler expects of the network
        on the device with most estimates (`analysis.decode_estimates`). `curve`: of
        the point's whole curve (`analysis.bd_measure`).
      minimise: whether less is better.
      within: columns of `frontier`; values compare only where these are equal.
      log: whether an axis of it begins as a logarithmic one.
      interval: columns with its ends, once the images are resampled
        (`analysis.uncertainty`); empty where it has none.
      decimals: in a printed table.
    """

    name: str
    label: str
    unit: str
    column: Column
    of: Literal["image", "point", "hardware", "estimate", "curve"] = "point"
    minimise: bool = True
    within: tuple[str, ...] = ()
    log: bool = False
    decimals: int = 3
    interval: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Of an axis."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


def stored(name: str) -> Column:
    """For a measure that is a column of its table already."""
    return lambda rows: rows[name]


# Of a decoded image, what training weighs under that name (`rdc.ops.distortions`).
DISTORTIONS: dict[str, Column] = {
    "mse": stored("mse_255"),
    "ms_ssim": lambda images: 1 - images["ms_ssim"],
}


def rd_loss(images: pd.DataFrame) -> pd.Series:
    """bpp + lmbda * distortion, in the distortion that the model was trained for.

    Missing where an image has none (MS-SSIM of a small one).
    """
    loss = pd.Series(np.nan, index=images.index)
    for name, rows in images.groupby("distortion"):
        distortion = DISTORTIONS[str(name)](rows)
        loss[rows.index] = rows["bpp_coded"] + rows["lmbda"] * distortion
    return loss


def mse_of_psnr(psnr_db: Values) -> Values:
    """On the scale 0-255."""
    return 255**2 / 10 ** (psnr_db / 10)


def rd_loss_of_mean_psnr(points: pd.DataFrame) -> pd.Series:
    """bpp + lmbda * MSE of the mean PSNR, as published curves allow no other.

    Less than the RD loss, a mean over images: errors of images weigh less in a mean of
    their logarithms. Never in one column with it. Missing for other distortions.
    """
    loss = points["bpp"] + points["lmbda"] * mse_of_psnr(points["psnr_db"])
    return loss.where(points["distortion"] == "mse")


def ms_ssim_db(points: pd.DataFrame) -> pd.Series:
    """-10 log10(1 - MS-SSIM) of the mean over the images."""
    return -10 * np.log10(1 - points["ms_ssim"].where(points["ms_ssim"] < 1))


def kflops_per_px_encode(points: pd.DataFrame) -> pd.Series:
    """Two for each multiply-accumulate."""
    return 2 * points["kmacs_per_px_encode"]


def mpx_per_s(times: pd.DataFrame) -> pd.Series:
    """Original megapixels per second of the median."""
    pixels = times["batch_size"] * times["height_px"] * times["width_px"]
    return pixels / 1000 / times["decode_ms"]


def _registry(*measures: Measure) -> dict[str, Measure]:
    table = {measure.name: measure for measure in measures}
    names = [measure.name for measure in measures]
    require(len(table) == len(names), "measures have different names", names)
    return table


_COST = "kFLOPs/px"
_LOSS = ("lmbda", "distortion")
MEASURES: dict[str, Measure] = _registry(
    Measure(
        "kflops_per_px", "decoder cost", _COST, stored("kflops_per_px"), log=True,
        decimals=1,
    ),
    Measure(
        "kflops_per_px_encode", "encoder cost", _COST, kflops_per_px_encode, log=True,
        decimals=1,
    ),
    Measure(
        "rd_loss", "RD loss", "", rd_loss, of="image", within=_LOSS,
        interval=("rd_loss_low", "rd_loss_high"),
    ),
    Measure(
        "rd_loss_of_mean_psnr", "RD loss of the mean PSNR", "", rd_loss_of_mean_psnr,
        within=_LOSS,
    ),
    Measure("bpp", "rate", "bpp", stored("bpp_coded"), of="image"),
    Measure(
        "bpp_estimated", "estimated rate", "bpp", stored("bpp_estimated"), of="image"
    ),
    *(
        Measure(
            name, m.label, m.unit, stored(name), of="image", minimise=m.minimise,
            decimals=2 if m.unit else 4,
        )
        for name, m in METRICS.items()
    ),
    Measure("ms_ssim_db", "MS-SSIM", "dB", ms_ssim_db, minimise=False, decimals=2),
    Measure("bytes", "file size", "bytes", stored("bytes"), of="image", log=True),
    Measure(
        "params_total", "parameters", "", stored("params_total"), log=True, decimals=0
    ),
    Measure(
        "params_decoder", "decoder parameters", "", stored("params_decoder"), log=True,
        decimals=0,
    ),
    Measure(
        "decoder_peak_bytes_per_px", "decoder memory", "bytes/px",
        stored("decoder_peak_bytes_per_px"), log=True, decimals=0,
    ),
    Measure("encode_ms", "encode time", "ms", stored("encode_ms"), "image", log=True),
    Measure(
        "file_decode_ms", "decode time of a file", "ms", stored("decode_ms"), "image",
        log=True, decimals=1,
    ),
    Measure(
        "decode_ms", "decode time", "ms", stored("decode_ms"), "hardware", log=True,
        decimals=1,
    ),
    Measure(
        "mpx_per_s", "decoder speed", "MP/s", mpx_per_s, "hardware", minimise=False,
        log=True, decimals=1,
    ),
    Measure(
        "estimated_decode_ms", "decode time estimated by a compiler, not measured",
        "ms", stored("estimated_decode_ms"), "estimate",
        within=("estimated_device_kind",), log=True, decimals=1,
    ),
    Measure(
        "bd_rate_percent", "BD-rate", "%", stored("bd_rate_percent"), "curve",
        within=("bd_window",), decimals=1,
        interval=("bd_rate_low_percent", "bd_rate_high_percent"),
    ),
    Measure(
        "anchor_rate_percent", "rate against the anchor at equal PSNR", "%",
        stored("anchor_rate_percent"), "curve", within=(*_LOSS, "bd_anchor"),
        decimals=1,
    ),
)  # fmt: skip

DEFAULT_OBJECTIVES = ("kflops_per_px", "rd_loss")


def measures_of(names: Sequence[str]) -> list[Measure]:
    """The measures of these names, as objectives.

    Raises:
      ConfigError: none, one twice, or a name that no measure has.
    """
    require(len(names) >= 1, "there is at least one objective", list(names))
    require(len(set(names)) == len(names), "objectives are different", list(names))
    for name in names:
        if name not in MEASURES:
            raise unknown_name("measure", name, list(MEASURES))
    return [MEASURES[name] for name in names]


def compared_within(names: Sequence[str]) -> list[str]:
    """Columns of `frontier` in which the points of one frontier are equal."""
    return list(dict.fromkeys(c for m in measures_of(names) for c in m.within))


def objectives_note(names: Sequence[str]) -> str:
    """What a frontier is of, in one line."""
    parts = [f"{m.name} {'min' if m.minimise else 'max'}" for m in measures_of(names)]
    return ", ".join([*parts, "per dataset", "codec", *compared_within(names)])


def image_means(images: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Means over the images of all measures of images, per group of `keys`.

    Args:
      images: rows of `rate_distortion` with `lmbda` and `distortion`.
    """
    measured = [m for m in MEASURES.values() if m.of == "image"]
    values = {m.name: m.column(images) for m in measured}
    table = images[list(keys)].assign(**values)
    return table.groupby(list(keys), as_index=False, sort=False).mean()
