"""What an attempt was given to read, and where it says how far it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rdc.data.image_sets import Images
from rdc.data.manifest import Manifest, planned_images
from rdc.jobs.job import Assignment, Request
from rdc.jobs.layout import PROGRESS_FILE
from rdc.system.files import read_json, write_json_atomically


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


def progress_of(attempt: Assignment) -> Callable[[int, int, float], None]:
    """Writes `progress.json`: a step, of how many, its loss."""

    def write(step: int, steps: int, loss: float) -> None:
        values = {"step": step, "steps": steps, "loss": loss}
        write_json_atomically(attempt.folder / PROGRESS_FILE, values)

    return write
