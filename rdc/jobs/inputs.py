"""What an attempt was given to read."""

from __future__ import annotations

from pathlib import Path

from rdc.data.image_sets import Images
from rdc.data.manifest import Manifest, planned_images
from rdc.jobs.job import Request
from rdc.system.files import read_json


def images_of(request: Request) -> Images:
    """The images of the request, as they were planned.

    Raises:
      NodeError: this machine does not have them.
    """
    source = given(request.images)
    if request.manifest is None:
        return source
    return planned_images(Manifest.from_dict(read_json(Path(request.manifest))), source)


def given(value: str | None) -> str:
    """A part of the request that the job cannot do without."""
    assert value is not None
    return value
