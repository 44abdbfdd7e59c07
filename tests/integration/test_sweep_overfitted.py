"""A sweep of codecs fitted to each image, stopped in the middle and resumed."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from rdc.codec import Codec
from rdc.data.images import read_image
from rdc.overfitted.saved_search import FILE
from tests.integration.whole_sweep import TIMEOUT_SECONDS, command, completed, started

pytestmark = pytest.mark.timeout(2 * TIMEOUT_SECONDS)
EFFORT = 1  # 2000 steps: the first progress comes after a tenth of them


@pytest.fixture(scope="module")
def images(
    photographs: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("two_crops")
    for i, path in enumerate(photographs["eval"][:2]):
        crop = read_image(path)[60:124, 90:170]
        Image.fromarray(crop).save(folder / f"crop{i}.png")
    return folder


def test_each_image_has_its_row_beside_other_codecs(
    images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = command(
        *("+grid=overfitted_kodak", "overfitted.codecs=[overfitted_300]"),
        *(f"overfitted.effort={EFFORT}", f"data.eval={images}", f"out={out}"),
        *("launcher=local", "codecs=[jpeg]"),
    )
    sweep = started(arguments, tmp_path)
    try:
        wait_for_progress(out, sweep)
    finally:
        sweep.send_signal(signal.SIGTERM)
        sweep.wait()
    states = [*out.glob(f"overfitted/*/*/attempts/1/checkpoint/*/{FILE}")]
    assert states
    completed(arguments, tmp_path)
    for state in states:
        log = state.parents[3] / "2/log.txt"
        assert "search resumed at step" in log.read_text()

    table = pd.read_parquet(out / "tables/codecs.parquet")
    fitted = table[table["codec_class"] == "overfitted"]
    assert sorted(fitted["image"]) == ["crop0.png", "crop1.png"]
    assert set(fitted["setting"]) == {0.0125}
    assert set(fitted["effort"]) == {EFFORT}
    assert (fitted["encode_ms"] > fitted["decode_ms"]).all()
    cost = Codec.load("overfitted_300").cost(64, 80)
    assert set(fitted["kflops_per_px"]) == {cost.kflops_per_px}
    assert (fitted["bpp_coded"] / fitted["bpp_estimated"]).between(0.99, 1.02).all()
    assert set(table["codec_class"]) == {"overfitted", "classical"}
    assert (out / "report/index.html").is_file()


def wait_for_progress(out: Path, sweep) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not [*out.glob("overfitted/*/*/attempts/1/progress.json")]:
        assert sweep.poll() is None, "ended before its first image"
        assert time.monotonic() < deadline
        time.sleep(0.1)
