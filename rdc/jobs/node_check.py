"""Whether this machine can do what a job was planned for, before it begins."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from functools import cache
from importlib import metadata

from rdc.errors import NodeError
from rdc.jobs.job import Request
from rdc.system.code import code_sha256
from rdc.system.hardware import describe, gpu_memory_in_use

MOST_IN_USE = 0.1  # of a GPU's memory, by others; contexts alone take half a GB
PATIENCE_SECONDS = 30.0

_PACKAGES = ("jax", "jaxlib", "flax", "numpy")


@cache
def versions() -> dict[str, str]:
    """Of what results depend on, in this process: name -> version."""
    python = ".".join(platform.python_version_tuple()[:2])
    packages = {name: metadata.version(name) for name in _PACKAGES}
    return {"Python": python, **packages, "code": code_sha256()}


def check_node(request: Request) -> None:
    """Raises `NodeError` where this machine is not as the driver expects."""
    _check_versions(request.versions)
    if request.gpus >= 1:
        _check_free()  # before JAX takes its share
    if request.gpus:
        _check_accelerator()


def _check_versions(planned: Mapping[str, str]) -> None:
    own = versions()
    others = [
        f"{name} {own.get(name)} in place of {version}"
        for name, version in planned.items()
        if own.get(name) != version
    ]
    if others:
        raise NodeError(
            "a machine that works has the code and packages of the driver",
            ", ".join(others),
            "bring both to the same version",
        )


def _check_free(patience_seconds: float = PATIENCE_SECONDS) -> None:
    """A GPU that a process has to itself: what ended there may need a moment."""
    until = time.monotonic() + patience_seconds
    while (used := gpu_memory_in_use()) is not None and used > MOST_IN_USE:
        if time.monotonic() > until:
            raise NodeError(
                "a GPU that a job was given is free",
                f"{100 * used:.0f} % of its memory in use",
                "look who holds it (nvidia-smi); jobs that share one have "
                "hardware.STAGE.gpus below 1",
            )
        time.sleep(min(1.0, patience_seconds))


def _check_accelerator() -> None:
    rule = "a machine that is given work for a GPU can use it"
    remedy = "look at its driver (nvidia-smi) and at jax.devices() there"
    try:
        found = describe()["platform"]
    except RuntimeError as error:  # JAX: a backend that does not start
        raise NodeError(rule, str(error).splitlines()[0], remedy) from error
    if found == "cpu":
        raise NodeError(rule, "its CPU alone", remedy)
