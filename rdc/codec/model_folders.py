"""Folders of trained models: where they are and what their `spec.json` says. No JAX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rdc.errors import ConfigError
from rdc.identity import NUMERICS_VERSION
from rdc.system.files import read_json

DEFAULT_MODEL = "best"
SPEC_FILE = "spec.json"
SCHEMA_VERSION = 3  # 2: no operating points, no numerics version
_FOLDER = Path(__file__).parent / "models"
_REMEDY = "name a folder written by `rdc export` or by a training"


def shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in _FOLDER.glob(f"*/{SPEC_FILE}"))


def shipped_name(identity: str) -> str | None:
    """The model that comes with the package under this identity; None without one."""
    for name in shipped_models():
        if read_model_spec(_FOLDER / name)["identity"] == identity:
            return name
    return None


def model_folder(model: str | Path | None) -> Path:
    """The folder of a shipped model, by name (None: the default), or the path itself.

    Raises:
      ConfigError: neither a shipped model nor a folder.
    """
    name = DEFAULT_MODEL if model is None else str(model)
    if name in shipped_models():
        return _FOLDER / name
    if not Path(name).is_dir():
        raise ConfigError(
            f"a model is one of {', '.join(shipped_models())} or a folder",
            name,
            _REMEDY,
        )
    return Path(name)


def read_model_spec(folder: Path) -> dict[str, Any]:
    """`spec.json` of a model folder.

    Raises:
      ConfigError: not a model folder, or one of another version.
      StorageError: it is damaged.
    """
    try:
        spec = read_json(folder / SPEC_FILE)
        schema_version = spec["schema_version"]
    except (FileNotFoundError, NotADirectoryError, KeyError) as error:
        raise no_model(folder, error) from None
    if schema_version != SCHEMA_VERSION:
        raise ConfigError(
            f"model folders have schema version {SCHEMA_VERSION}",
            f"{folder} of version {schema_version}",
            "export the model again, from a training of this version",
        )
    if spec["numerics_version"] != NUMERICS_VERSION:
        raise ConfigError(
            f"models are computed as numerics version {NUMERICS_VERSION} says",
            f"{folder}, trained for version {spec['numerics_version']}",
            "train it again: the same weights mean something else now",
        )
    return spec


def trained_as(folder: Path) -> str:
    """`run_id` of the training that made a model; its own id where nobody noted it.

    Raises:
      ConfigError, StorageError: as `read_model_spec`.
    """
    spec = read_model_spec(folder)
    return spec["provenance"].get("run_id", spec["identity"])


def no_model(folder: Path, error: Exception) -> ConfigError:
    """The error for what is no model folder."""
    return ConfigError(
        "a model is a folder with spec.json, weights.npz and tables.npz",
        f"{folder} ({error})",
        _REMEDY,
    )
