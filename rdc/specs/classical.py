"""Classical codecs that results are compared with, measured by the same code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rdc.identity import content_id
from rdc.specs.base import Spec, require, unknown_name

# Name -> quality settings from small files to large ones, in the codec's own scale.
SETTINGS: dict[str, tuple[float, ...]] = {
    "jpeg": (5, 10, 20, 30, 45, 60, 75, 85, 92, 96),
    "webp": (1, 10, 25, 45, 60, 75, 85, 92, 96, 99),
    "avif": (15, 25, 35, 45, 55, 65, 75, 82, 88, 93),
    # Compression ratio to 24 bits a pixel: Pillow rates JPEG 2000 so.
    "jpeg2000": (160, 100, 70, 50, 36, 26, 19, 14, 10, 7),
}


SUBSAMPLED = ("jpeg", "avif")  # that have a choice
# As people write them, in plots and tables.
LABELS = {"jpeg": "JPEG", "webp": "WebP", "avif": "AVIF", "jpeg2000": "JPEG 2000"}


@dataclass(frozen=True, kw_only=True)
class ClassicalSpec(Spec):
    """A codec of Pillow with the settings that make its operating points.

    Attributes:
      name: `jpeg` (4:2:0, optimised Huffman tables), `webp` (lossy, method 6), `avif`
        (4:2:0, speed 6) or `jpeg2000`.
      settings: quality parameters, from small files to large ones.
      subsampling: of the chroma: 4:2:0, or 4:4:4 with JPEG and AVIF. JPEG 2000 has
        none, whatever is said here.
    """

    name: str
    settings: tuple[float, ...] = ()
    subsampling: str = "4:2:0"

    def __post_init__(self) -> None:
        if self.name not in SETTINGS:
            raise unknown_name("classical codec", self.name, list(SETTINGS))
        if not self.settings:
            object.__setattr__(self, "settings", SETTINGS[self.name])
        known = ("4:2:0", "4:4:4")
        require(
            self.subsampling in known,
            f"codec.subsampling is {' or '.join(known)}",
            self.subsampling,
        )
        require(
            self.subsampling == "4:2:0" or self.name in SUBSAMPLED,
            "codec.subsampling is a choice of jpeg and avif",
            f"{self.subsampling} of {self.name}",
            "leave it out",
        )
        whole = all(float(setting).is_integer() for setting in self.settings)
        require(
            (whole or self.name == "jpeg2000")
            and len(set(self.settings)) == len(self.settings),
            "codec.settings are different numbers, whole ones but for jpeg2000",
            self.settings,
        )

    @property
    def codec_id(self) -> str:
        """16 hex digits of what the settings mean; not of which are measured."""
        values: dict[str, Any] = {"name": self.name, "subsampling": self.subsampling}
        return content_id("codec", values)
