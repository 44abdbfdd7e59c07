"""The page of decode estimates, apart from measured times."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from analysis.decode_page import NOT_TIMED, PICTURE, page, write_page
from analysis.decode_ranks import (
    PUBLISHED,
    exchanged,
    order,
    published_ms,
    told,
)
from analysis.gather import gather
from rdc.errors import DataError
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.estimated import V4, V5E, estimate_decoder
from tests.unit.analysis.invented import architectures


@pytest.fixture
def sweep(tmp_path: Path) -> SweepOutput:
    """G, F and E by name: F dearer than E here, and not fitting on a v5e."""
    output = SweepOutput(tmp_path / "out")
    jobs = output.plan(
        architectures((20,))[:3], names={0: "rdc_g", 1: "rdc_f", 2: "rdc_e"}
    )
    for job, cycles in zip(jobs, (2_100_000, 6_300_000, 4_200_000), strict=True):
        counts = {"synthesis_transform": cycles, "other": 0}
        estimate_decoder(output, job, counts)
        fits = cycles != 6_300_000
        estimate_decoder(output, job, counts if fits else None, V5E)
    return output


def section(text: str, name: str) -> str:
    return text.split(f"## {name}")[1].split("\n## ")[0]


def test_estimates_of_devices_stand_side_by_side(sweep: SweepOutput) -> None:
    text = write_page(sweep.out, sweep.out / "page.md").read_text()
    estimated = section(text, "Estimated")
    assert "| TPU v4, estimated | TPU v5 lite, estimated |" in estimated
    assert "measured" not in estimated
    assert "| 2.00 (1) | 1.40 (1) |" in estimated
    assert "| 6.00 (3) | - |" in estimated
    assert "| 100 % | 0 % |" in section(text, "Where the time goes")
    memory = section(text, "Memory")
    assert "| TPU v4 | 335 | yes |" in memory
    assert "| TPU v5 lite | - | no |" in memory
    assert "for device in tpu_v4 tpu_v5e; do" in text


def test_clocks_and_devices_are_those_of_the_records(sweep: SweepOutput) -> None:
    text = page(gather(sweep.out))
    told = "products in one pass of bfloat16; libtpu 0.0.42.1."
    assert f"- TPU v4: {V4.note}; 1050 MHz; {told}" in text
    assert f"- TPU v5 lite: 1500 MHz; {told}" in text


def test_times_stand_in_a_table_of_their_own(sweep: SweepOutput) -> None:
    assert NOT_TIMED in section(page(gather(sweep.out)), "Measured")
    job = sweep.plan(architectures((20,))[:1], lmbda=0.02)[0]
    sweep.benchmark(job, trained=False)
    text = page(gather(sweep.out))
    measured = section(text, "Measured")
    assert "| Example CPU, 2 threads, measured |" in measured
    assert "estimated |" not in measured
    assert "Example CPU" not in section(text, "Estimated")


def test_orders_and_what_changes_places_are_said(sweep: SweepOutput) -> None:
    text = page(gather(sweep.out))
    assert f"- {PUBLISHED}: G, F, E." in text
    assert "- TPU v4, estimated: G, E, F. F falls behind E." in text
    assert "- TPU v5 lite, estimated: G, E. The published order." in text


def test_the_picture_is_drawn_beside_the_page(sweep: SweepOutput) -> None:
    write_page(sweep.out, sweep.out / "page.md")
    with Image.open(sweep.out / PICTURE) as image:
        assert image.width > 400
        assert image.convert("L").getextrema()[0] < 100


def test_orders_and_exchanges() -> None:
    one = pd.Series({"a": 1.0, "b": 2.0, "c": 3.0})
    other = pd.Series({"a": 2.0, "b": 5.0, "c": 1.0, "d": 0.5})
    assert order(other) == ["d", "c", "a", "b"]
    assert exchanged(one, one) == []
    assert exchanged(one, other) == [("a", "c"), ("b", "c")]
    lines = told({PUBLISHED: one, "X": other})
    assert lines[1] == "- X: d, c, a, b. a falls behind c and b falls behind c."


def test_published_speeds_become_times_of_a_kodak_image() -> None:
    names = pd.DataFrame({"name": ["rdc_g", None]}, index=["one", "two"])
    assert published_ms(names).to_dict() == {"one": pytest.approx(4.10, abs=0.01)}


def test_without_estimates_there_is_no_page(tmp_path: Path) -> None:
    output = SweepOutput(tmp_path / "out")
    output.finish(output.plan(architectures((20,))))
    with pytest.raises(DataError, match="has some"):
        page(gather(output.out))
