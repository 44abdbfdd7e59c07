"""What compilers expect of decoders, as plots and ranks show it: apart from times.

Of one device, estimates of the commonest image size and precision: no two are mixed.
"""

from __future__ import annotations

import pandas as pd

from analysis.decode_times import MAIN_STAGE

NO_MEASUREMENT = "estimate of its compiler, no measurement"
_CONDITIONS = ["height_px", "width_px", "precision"]


def network_estimates(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per architecture and device: of the whole network, batch 1.

    Returns:
      `name`, `family` and `kflops_per_px` of the architecture, with the columns of
      `decode_estimates`; `decode_ms` is null where a decoder did not fit.
    """
    estimates = tables["decode_estimates"]
    rows = estimates[estimates["component"] == MAIN_STAGE]
    keys = ["device_kind", *_CONDITIONS]
    counts = rows.groupby(keys, as_index=False).size()
    counts = counts.sort_values("size", kind="stable", ascending=False)
    usual = counts.drop_duplicates("device_kind")[keys]
    rows = rows.merge(usual, on=keys).drop_duplicates(
        ["arch_id", "device_kind"], keep="last"
    )
    known = ["arch_id", "name", "family", "kflops_per_px"]
    return rows.merge(tables["architectures"][known], on="arch_id")


def with_estimates(table: pd.DataFrame, estimates: pd.DataFrame) -> pd.DataFrame:
    """Adds `estimated_decode_ms` of the device with most estimates, and its kind.

    Args:
      table: with `arch_id`.
      estimates: of `network_estimates`.
    """
    counts = estimates.groupby("device_kind").size()
    kind = counts.idxmax() if len(counts) else None
    own = estimates[estimates["device_kind"] == kind].set_index("arch_id")["decode_ms"]
    milliseconds = table["arch_id"].map(own).astype(float)
    return table.assign(estimated_decode_ms=milliseconds, estimated_device_kind=kind)


def conditions(rows: pd.DataFrame) -> str:
    """What the estimates of one device are of, in words."""
    first = rows.iloc[0]
    size = f"{first['height_px']} x {first['width_px']} px"
    compilers = ", ".join(sorted(rows["compiler"].unique()))
    return f"{size}, products in {first['precision']}, {compilers}"
