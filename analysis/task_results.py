"""Methods of a task over all folds: what they send, how well a server answers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.tables import METHOD, columns
from analysis.task_curves import of_photographs
from rdc.identity import content_id

_METHOD = list(METHOD)


def task_results(answers: pd.DataFrame) -> pd.DataFrame:
    """The table `task_results` of `task_answers`.

    Metric is top-1 accuracy over photographs, each answered out of fold; a fold that
    has not been measured is missing in `image_count`. Of a segmentation it is mean IoU,
    of a detection box mAP, both of all photographs together and without an error.
    """
    groups = answers.groupby(
        ["dataset", "task", "method", "setting", "seed", answers["run_id"].fillna("")],
        sort=False,
    )
    rows = [_result(group) for _, group in groups]
    table = pd.DataFrame(rows, columns=list(columns("task_results")))
    return table.sort_values(
        ["dataset", "method", "seed", "bytes_per_datum"], ignore_index=True
    )


def _result(rows: pd.DataFrame) -> dict[str, object]:
    first = rows.iloc[0]
    teachers = sorted(set(rows["reference_model"]))
    values = of_photographs(rows)
    metric = float(values["right"].mean())
    of_set = first["set_metric"] is not None and not pd.isna(first["set_metric"])
    size = rows["bytes"].mean()  # NaN where nothing is sent
    pixels = (rows["height_px"] * rows["width_px"]).sum()
    estimated = rows["bits_estimated"].sum(min_count=len(rows))
    return {
        **{name: first[name] for name in _METHOD},
        "reference_model": (
            teachers[0]
            if len(teachers) == 1
            else content_id("teachers", {"ids": teachers})
        ),
        "image_count": len(rows),
        "bytes_per_datum": size,
        "bpp": 8 * rows["bytes"].sum(min_count=len(rows)) / pixels,
        "coded_over_estimated": 8 * rows["bytes"].sum() / estimated - 1,
        "metric": metric,
        "distortion": 1 - metric,
        "se": None if of_set else float(np.sqrt(metric * (1 - metric) / len(rows))),
        "teacher_agreement": values["agrees"].mean(),
        "kl": rows["kl_nats"].mean(),
        "exr": first["encoder_bits"] * size,
    }
