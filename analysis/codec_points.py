"""Points of codecs without a trained model: classical ones, and overfitted ones.

Both stand beside the points of models: classical codecs as curves of their settings
and, for each lambda, as the setting that has the least RD loss.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from analysis.image_sets import image_set_ids
from analysis.measures import image_means, rd_loss_of_mean_psnr
from rdc.specs.classical import LABELS

CLASSICAL, OVERFITTED = "classical", "overfitted"
_CODEC = ["codec_id", "name", "version", "codec_class", "effort", "dataset"]
_POINT = [*_CODEC, "setting"]


def codec_points(codecs: pd.DataFrame) -> pd.DataFrame:
    """Means over the images of each codec, setting and image set.

    Args:
      codecs: the table of that name.

    Returns:
      `codec_id name version codec_class effort dataset setting label images image_set
      bpp psnr_db`, rate ascending within a codec.
    """
    means = codecs.groupby(_POINT, as_index=False)[["bpp_coded", "psnr_db"]].mean()
    means = means.rename(columns={"bpp_coded": "bpp"})
    table = means.merge(image_set_ids(codecs, _POINT), on=_POINT)
    # Two codecs of one name differ in a setting that their id tells of.
    same = ["dataset", "name", "effort"]
    one = table.groupby(same)["codec_id"].transform("nunique") == 1
    label = table["name"].map(LABELS).fillna(table["name"])
    overfitted = table["codec_class"] == OVERFITTED
    effort = ", effort " + table["effort"].astype(str)
    label = label.where(~overfitted, label.str.replace("_", " ") + effort)
    table["label"] = label.where(one, label + " " + table["codec_id"].str[:8])
    return table.sort_values([*_CODEC, "bpp"], ignore_index=True)


def classical_points(codecs: pd.DataFrame) -> pd.DataFrame:
    """Of `codec_points`, those of the classical codecs."""
    return codec_points(codecs[codecs["codec_class"] == CLASSICAL])


def overfitted_measures(codecs: pd.DataFrame) -> pd.DataFrame:
    """Every overfitted codec at its lambdas.

    Args:
      codecs: the table of that name.

    Returns:
      `label family dataset lmbda distortion images image_set kflops_per_px` and the
      measures of images, means over them. `family` is the class.
    """
    images = codecs[codecs["codec_class"] == OVERFITTED]
    return _measures(images.assign(lmbda=images["setting"]))


def classical_measures(codecs: pd.DataFrame, lmbdas: Iterable[float]) -> pd.DataFrame:
    """As `overfitted_measures`: every classical codec at its best setting for each of
    these lambdas, by the RD loss in MSE.
    """
    images = codecs[codecs["codec_class"] == CLASSICAL]
    tables = [_measures(images.iloc[:0].assign(lmbda=0.0))]
    for lmbda in lmbdas:
        table = _measures(images.assign(lmbda=lmbda))
        least = table.groupby(["label", "dataset"])["rd_loss"].idxmin()
        tables.append(table.loc[least].sort_index())
    return pd.concat(tables[1:] or tables)


def _measures(images: pd.DataFrame) -> pd.DataFrame:
    # What measures of images read of models.
    images = images.assign(run_id=images["codec_id"], distortion="mse")
    points = codec_points(images)[[*_POINT, "label", "images", "image_set"]]
    # All of a point have one lambda, of which a mean could be another number.
    other = images.groupby(_POINT, as_index=False).agg(
        {"kflops_per_px": "mean", "lmbda": "first"}
    )
    points = points.merge(other, on=_POINT).merge(
        image_means(images, _POINT), on=_POINT
    )
    points = points.assign(family=points["codec_class"], distortion="mse")
    return points.assign(rd_loss_of_mean_psnr=rd_loss_of_mean_psnr(points))
