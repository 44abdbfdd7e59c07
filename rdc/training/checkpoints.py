"""Checkpoints of a training: atomic, the last ones kept, newest sound wins; when.

None, damaged, and "cannot be read now" are three things: without any, a training begins
at its first step; a damaged one is left out and the one before it taken; what storage
does not give now is waited for, and no training begins anew because of it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import jax
import orbax.checkpoint as ocp

from rdc.errors import UnreadableError
from rdc.identity import NUMERICS_VERSION
from rdc.specs.checkpoint import CheckpointSpec
from rdc.system.files import storage_error
from rdc.training.step import TrainState

READ_WAIT_SECONDS = 600.0  # for storage that does not give what it has
STALL_SHARE = 0.02  # of the time that a training may wait for its checkpoints
_log = logging.getLogger(__name__)
T = TypeVar("T")


class Checkpoints:
    """The checkpoints of one attempt in `folder`, and where earlier ones lie.

    Args:
      folder: this attempt's; created when the first checkpoint is written.
      earlier: checkpoint folders of earlier attempts, newest last.
      run_id: written into every checkpoint, with the version of the numerics; one of
        another model or version is never restored.
      keep: so many of the newest stay in `folder`.

    Attributes:
      refused: of the last `restore`, which checkpoints cannot be used, and why.
    """

    def __init__(
        self, folder: Path, earlier: Sequence[Path], run_id: str, keep: int = 2
    ):
        self._folder, self._earlier = folder, list(earlier)
        self._origin = {"run_id": run_id, "numerics_version": NUMERICS_VERSION}
        self._keep = keep
        self.refused: list[str] = []
        self._writer: ocp.CheckpointManager | None = None

    def save(self, state: TrainState, progress: dict[str, Any]) -> None:
        """Writes `state` and the JSON-able `progress` under the state's step.

        Raises:
          DiskFullError: no space left; earlier checkpoints are intact.
        """
        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._writer = _manager(self._folder, keep=self._keep)
        step = int(state.step)
        if step in self._writer.all_steps():
            return
        try:
            self._writer.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(_of_one_process(_as_dict(state))),
                    progress=ocp.args.JsonSave({**progress, **self._origin}),
                ),
            )
            self._writer.wait_until_finished()
        except OSError as error:
            raise storage_error(error, self._folder / str(step)) from error
        except ValueError as error:
            # Orbax's storage layer reports a full disk with its own text.
            if "No space left" in str(error):
                full = OSError(28, "No space left on device")
                raise storage_error(full, self._folder / str(step)) from error
            raise

    def restore(
        self, like: TrainState, at_most: int | None = None, above: int = -1
    ) -> tuple[TrainState, dict[str, Any]] | None:
        """The newest sound checkpoint of this model, or None.

        One that cannot be used (cut, of another model or version) is named in the log
        and in `refused`, and the one before it is tried.

        Args:
          at_most: newer steps than this are left out.
          above: and so are these and older ones.

        Raises:
          UnreadableError: storage does not give what it has, for `READ_WAIT_SECONDS`.
        """
        self.refused = []
        found = [
            (step, folder)
            for folder in [*self._earlier, self._folder]
            for step in _waited_for(partial(_steps, folder), folder)
            if step > above and (at_most is None or step <= at_most)
        ]
        shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, _as_dict(like))
        for step, folder in sorted(found, key=lambda f: f[0], reverse=True):
            path = folder / str(step)
            _waited_for(partial(_read, path), path)
            try:
                restored = _manager(folder).restore(
                    step,
                    args=ocp.args.Composite(
                        state=ocp.args.StandardRestore(shapes),
                        progress=ocp.args.JsonRestore(),
                    ),
                )
            except (ValueError, OSError, KeyError, TypeError) as error:
                first_line = (str(error).splitlines() or [""])[0]
                self._refuse(path, f"damaged: {first_line}")
                continue
            progress = dict(restored.progress)
            origin = {name: progress.pop(name, None) for name in self._origin}
            if origin != self._origin:
                self._refuse(
                    path, f"it is of {origin}, this training of {self._origin}"
                )
                continue
            return TrainState(**restored.state), progress
        return None

    def _refuse(self, path: Path, reason: str) -> None:
        _log.warning("checkpoint %s skipped: %s", path, reason)
        attempt = path.parent.parent.name
        self.refused.append(f"checkpoint {path.name} of attempt {attempt}: {reason}")


def _steps(folder: Path) -> list[int]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return [int(name) for name in names if name.isdigit()]


def _read(folder: Path) -> None:
    """Reads all files of a checkpoint, as storage gives them; whole or not."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.read_bytes()


def _waited_for(read: Callable[[], T], path: Path) -> T:
    """What `read` gives, once storage gives it."""
    give_up, pause = time.monotonic() + READ_WAIT_SECONDS, 1.0
    while True:
        try:
            return read()
        except FileNotFoundError:
            raise
        except OSError as error:
            if time.monotonic() + pause >= give_up:
                raise UnreadableError(
                    "checkpoints that are there can be read",
                    f"{path}: {error.strerror or error}",
                    "no training begins anew because of it: mend the storage; the same "
                    "command goes on",
                ) from error
            _log.warning("waiting for %s: %s", path, error.strerror or error)
        time.sleep(pause)
        pause = min(2 * pause, 60.0)


class CheckpointTimer:
    """Tells when a checkpoint is due.

    Args:
      clock: seconds that went by.
    """

    def __init__(
        self, spec: CheckpointSpec, clock: Callable[[], float] = time.monotonic
    ):
        self._spec, self._clock = spec, clock
        self._last_end = clock()
        self._last_took = 0.0

    def due(self, step: int) -> bool:
        """Whether to write one after this step."""
        if self._spec.every_steps and step % self._spec.every_steps == 0:
            return True
        wanted = self._spec.every_seconds
        if not wanted:
            return wanted == 0
        pause = max(wanted, self._last_took / STALL_SHARE)
        return self._clock() - self._last_end >= pause

    def saved(self, seconds: float) -> None:
        """One was written, which took so long."""
        self._last_end, self._last_took = self._clock(), seconds


def _manager(folder: Path, keep: int | None = None) -> ocp.CheckpointManager:
    together = ocp.options.MultiprocessingOptions()
    if jax.process_count() > 1:  # the others ask for nothing
        own = jax.process_index()
        together = ocp.options.MultiprocessingOptions(own, {own}, f"rank-{own}")
    return ocp.CheckpointManager(
        folder.absolute(),
        options=ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            create=False,
            enable_async_checkpointing=False,
            multiprocessing_options=together,
        ),
    )


def _of_one_process(values: dict[str, Any]) -> dict[str, Any]:
    """Beside others, orbax takes no arrays of one process's devices."""
    return values if jax.process_count() == 1 else jax.device_get(values)


def _as_dict(state: TrainState) -> dict[str, Any]:
    values = {field.name: getattr(state, field.name) for field in fields(state)}
    return {name: value for name, value in values.items() if value is not None}
