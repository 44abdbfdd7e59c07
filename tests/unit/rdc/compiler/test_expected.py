"""Programs for devices that are not at hand leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache

from rdc.compiler.expected import compile_for, lower_for
from rdc.specs.compiler import CompilerTarget

TARGET = CompilerTarget(
    device_kind="here",
    topology="none",
    clock_mhz=1000,
    memory_gb=1,
    precision="bfloat16",
    note="",
)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """A cache of compiled programs, of its own."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    configure(settings)
    yield tmp_path
    configure(before)


def configure(settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def test_programs_are_not_kept_between_processes(kept: Path) -> None:
    """JAX could not read those of other devices back. All others are."""
    shape = jax.ShapeDtypeStruct((3, 5), jnp.float32)
    elsewhere, here = (
        lower_for(jax.devices()[0], program, [shape]) for program in (jnp.sin, jnp.cos)
    )
    assert compile_for("a sine", TARGET, elsewhere) is not None
    assert not list(kept.iterdir())
    here.compile()
    assert list(kept.iterdir())
