"""The trained models that come with the package."""

from __future__ import annotations

from pathlib import Path

from rdc.errors import ConfigError

DEFAULT_MODEL = "light"
_FOLDER = Path(__file__).parent / "models"


def shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in _FOLDER.glob("*/spec.json"))


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
            "name a folder written by `rdc export` or by a training",
        )
    return Path(name)
