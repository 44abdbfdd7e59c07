"""`launch/data.py`: image sets from the network, verified."""

from __future__ import annotations

from pathlib import Path

import pooch
import requests
from rich.console import Console

from launch.commands.kodak import KODAK_SHA256, KODAK_URL
from launch.config.app import App, Call
from launch.config.roots import DataConfig, absolute
from rdc.errors import DataError, ExitCode
from rdc.system.user_cache import user_cache_folder


def run_fetch(call: Call[DataConfig]) -> int:
    """Downloads a set and prints its folder."""
    chosen = call.config.data.dir
    folder = absolute(chosen) if chosen else user_cache_folder() / "kodak"
    folder = fetch_kodak(folder, KODAK_URL)
    Console().print(f"24 images; use them as data.eval={folder}", soft_wrap=True)
    return ExitCode.OK


def fetch_kodak(folder: Path, url: str) -> Path:
    """The 24 Kodak images in `folder`; those already there are only verified.

    Raises:
      DataError: no network, or a file that is not the published one.
    """
    known = {name: f"sha256:{digest}" for name, digest in KODAK_SHA256.items()}
    images = pooch.create(path=folder, base_url=url, registry=known)
    pooch.get_logger().setLevel("WARNING")
    for name in known:
        try:
            images.fetch(name)
        except (requests.RequestException, ValueError, OSError) as error:
            raise DataError(
                f"{name} can be fetched from {url} and is the published file",
                " ".join(str(error).split())[:300],
                "check the network, or copy the 24 images into data.dir by hand",
            ) from None
    return folder


DATA_APP = App(
    "data_run",
    DataConfig,
    run_fetch,
    """
Fetches public image sets and verifies every file. kodak: the 24 Kodak test images,
768 x 512 and 512 x 768, 15 MB, released by Eastman Kodak for unrestricted use.""",
    (
        "python launch/data.py fetch=kodak",
        "python launch/data.py fetch=kodak data.dir=images/kodak",
    ),
)
