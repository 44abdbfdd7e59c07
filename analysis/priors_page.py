"""`python -m analysis.priors_page OUT`: writes docs/results/priors.md.

OUT is that of a sweep of `+grid=priors_mini`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd

from analysis.decode_estimates import network_estimates
from analysis.decode_times import DecodeTimes
from analysis.gather import gather
from analysis.pages import number, run, table
from analysis.paired import difference, losses_by_label, told_of
from rdc.errors import DataError
from rdc.system.files import write_bytes_atomically

PAGE = Path(__file__).parents[1] / "docs/results/priors.md"
OTHER = "charm"  # against which the others stand
TEMPLATE = """\
# Priors behind equal transforms

{finished} of the {models} trainings of the grid `priors_mini`, on {images} images of
{dataset}: one transform and one hyper-transform, {steps} steps each, from the same
crops. RD loss is bpp + lambda MSE from the bytes of whole files, at four lambdas; a
difference from CHARM's is the mean logarithm of the ratio over rates, images and seeds.
In brackets, 95 % of 4000 draws of seeds and images; bold where they leave no doubt.

{coded}

**Tiny models and short trainings: HPCM's table, in which a prior of this kind gains
10 % over CHARM, is of full ones.**

`python launch/sweep.py +grid=priors_mini data.train=TRAIN data.eval=KODAK
'stages=[plan,complexity,train,evaluate,benchmark,gather]' out=OUT`, once more with
`hardware=tpu_v5e 'stages=[plan,benchmark,gather]'`, then
`python -m analysis.priors_page OUT`

Over y, the hyperprior decodes in one pass, the dual prior in two, the quadtree in four,
CHARM in one a slice; each waits for the one before. Networks and entropy decoding:
medians in ms on this machine, an image of {size}. Estimates are no measurements: they
are what XLA's compiler expects of the networks.

{table}
"""


def write_page(out: Path, path: Path = PAGE) -> Path:
    """Gathers the records of OUT, and writes their page.

    Raises:
      DataError: CHARM was not evaluated.
    """
    write_bytes_atomically(path, page(gather(out)).encode())
    return path


def page(tables: dict[str, pd.DataFrame]) -> str:
    """The text; raises as `write_page`."""
    runs = tables["runs"].merge(tables["architectures"])
    runs = runs.assign(label=runs["config_json"].map(_label))
    own = losses_by_label(runs, tables)
    if OTHER not in own:
        raise DataError(f"{OTHER} was trained and evaluated", ", ".join(own) or "none")
    times = tables["decode_times"]
    sizes = times["height_px"].astype(str) + " x " + times["width_px"].astype(str)
    return TEMPLATE.format(
        **told_of(tables),
        size=" and ".join(sizes.unique()) or "any size",
        table=_table(runs, own, tables),
    )


def _label(config_json: str) -> str:
    prior = json.loads(config_json)["entropy_model"]
    hyper = prior.get("scales_from") == "hyper"
    return prior["name"] + (", scales from the hyperprior" if hyper else "")


def _table(
    runs: pd.DataFrame, own: dict[str, pd.DataFrame], tables: dict[str, pd.DataFrame]
) -> str:
    times = _medians(tables["decode_times"])
    estimates = network_estimates(tables)
    expected = estimates.set_index(["device_kind", "arch_id"])["decode_ms"]
    kinds = sorted(estimates["device_kind"].unique())
    head = (
        *("prior", "against CHARM", "seeds", "kFLOPs/px to decode"),
        *("networks, ms", "entropy decoding, ms"),
        *(f"{kind}, estimated, ms" for kind in kinds),
    )
    lines: list[tuple[str, ...]] = [head]
    for label, rows in runs.groupby("label", sort=False):
        row = rows.iloc[0]
        name, arch_id = str(label), row["arch_id"]
        shown, seeds = "-", len(own.get(name, ()))
        if name != OTHER and name in own:
            found = difference(own[name], own[OTHER])
            shown = f"**{found.shown}**" if found.is_sure else found.shown
            seeds = found.seeds
        lines.append(
            (
                *(name, shown, str(seeds), f"{row['kflops_per_px']:.1f}"),
                number(times.get((arch_id, "network"), float("nan")), ".0f"),
                number(times.get((arch_id, "entropy_coding"), float("nan")), ".0f"),
                *(
                    number(expected.get((kind, arch_id), float("nan")), ".2f")
                    for kind in kinds
                ),
            )
        )
    return table(lines)


def _medians(decode_times: pd.DataFrame) -> dict[tuple[str, str], float]:
    """In ms, by architecture and stage: of all of its models and rates."""
    if decode_times.empty:
        return {}
    shown = DecodeTimes.of(decode_times).shown
    medians = shown.groupby(["arch_id", "stage"])["decode_ms"].median()
    return {(str(arch), str(stage)): ms for (arch, stage), ms in medians.items()}


def main(arguments: list[str] | None = None) -> int:
    return run("analysis.priors_page", write_page, PAGE, arguments)


if __name__ == "__main__":
    sys.exit(main())
