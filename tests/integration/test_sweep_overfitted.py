"""A sweep of codecs that are fitted to each image, killed in the middle and resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from rdc.codec import Codec
from rdc.data.images import read_image
from rdc.overfitted.saved_search import FILE
from tests.conftest import REPOSITORY

TIMEOUT_SECONDS = 1500
pytestmark = pytest.mark.timeout(2 * TIMEOUT_SECONDS)


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
    command = [
        *(sys.executable, str(REPOSITORY / "launch/sweep.py")),
        *("+grid=overfitted_kodak", "overfitted.codecs=[overfitted_300]"),
        *(f"data.eval={images}", f"out={out}", "launcher=local", "codecs=[jpeg]"),
    ]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as sweep:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        # Till a search is on its way, or is done already.
        while not (started := [*out.glob("overfitted/*/*/attempts/1/progress.json")]):
            assert sweep.poll() is None, "ended before its first image"
            assert time.monotonic() < deadline
            time.sleep(0.1)
        sweep.send_signal(signal.SIGTERM)
    stopped = started[0].with_name(FILE).is_file()
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    logs = "".join(path.read_text() for path in out.glob("overfitted/**/log.txt"))
    assert ("search resumed at step" in logs) or not stopped, logs

    table = pd.read_parquet(out / "tables/codecs.parquet")
    fitted = table[table["codec_class"] == "overfitted"]
    assert sorted(fitted["image"]) == ["crop0.png", "crop1.png"]
    assert set(fitted["setting"]) == {0.0125}
    assert (fitted["encode_ms"] > fitted["decode_ms"]).all()
    cost = Codec.load("overfitted_300").cost(64, 80)
    assert set(fitted["kflops_per_px"]) == {cost.kflops_per_px}
    assert (fitted["bpp_coded"] / fitted["bpp_estimated"]).between(0.99, 1.02).all()
    assert set(table["codec_class"]) == {"overfitted", "classical"}
    assert (out / "report/index.html").is_file()
