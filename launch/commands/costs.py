"""Counted costs of architectures, kept from one planning to the next."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path

import rdc
from rdc.errors import ConfigError, StorageError
from rdc.jobs.plan_row import COST_COLUMNS, Cost
from rdc.registry import arch_id
from rdc.specs.components import ArchitectureSpec
from rdc.system.files import read_json, write_json_atomically
from rdc.system.user_cache import user_cache_folder
from sweeps.plan import CountCost

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def cost_counter(folder: Path | None = None) -> Iterator[CountCost]:
    """Counts with `rdc.complexity`; figures are kept in the user's cache folder.

    They are found again as long as the code of `rdc` and the version of JAX are the
    same. JAX runs in a process of its own: the driver forks later, which JAX's threads
    forbid.

    Args:
      folder: of the cache; None: the user's.
    """
    path = (folder or user_cache_folder()) / f"costs-{_version()}.json"
    known = _read(path)
    before = len(known)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=use_cpu) as pool:

        def count(architecture: ArchitectureSpec) -> Cost:
            identity = arch_id(architecture)
            if identity not in known:
                known[identity] = pool.submit(_count, architecture).result()
            return known[identity]

        try:
            yield count
        finally:
            if len(known) > before:
                _write(path, known)


def _version() -> str:
    """Hash of all that figures depend on beside the architecture."""
    digest = hashlib.sha256(metadata.version("jax").encode())
    package = Path(rdc.__file__).parent
    for file in sorted(package.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _read(path: Path) -> dict[str, Cost]:
    try:
        return {k: Cost.from_dict(v, "cost") for k, v in read_json(path).items()}
    except FileNotFoundError:
        return {}
    except (StorageError, ConfigError) as error:
        _log.warning("counted again: %s", error)
        return {}


def _write(path: Path, known: dict[str, Cost]) -> None:
    try:
        costs = {identity: cost.to_dict() for identity, cost in known.items()}
        write_json_atomically(path, costs, durable=False)
    except StorageError as error:  # a cache that cannot be kept stops nothing
        _log.warning("counted costs are not kept: %s", error)


def use_cpu() -> None:
    """Of a process that counts."""
    # Shapes alone are traced; the accelerator is left to the jobs.
    os.environ["JAX_PLATFORMS"] = "cpu"


def _count(architecture: ArchitectureSpec) -> Cost:
    from rdc.complexity import count

    cost = count(architecture)
    components = [
        {
            "side": part.side,
            "component": part.component,
            "params": part.params,
            "macs_per_px": part.macs_per_px,
        }
        for part in cost.by_component
    ]
    figures = {column: getattr(cost, column) for column in COST_COLUMNS}
    text = json.dumps(components, separators=(",", ":"))
    return Cost(**figures, components_json=text)
