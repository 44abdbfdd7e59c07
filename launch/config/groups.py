"""Configuration groups whose options are declared in code, once.

Components and named architectures stand in the registry; here they become options of
the groups `architecture`, `transform`, `entropy_model` and `hyper_transform`. Files in
`conf/<group>/` or in the folder of `--config-dir` add more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.core.config_store import ConfigStore

from rdc.architectures import NAMED
from rdc.errors import ConfigError
from rdc.registry import REGISTRY, arch_id, parse_architecture
from rdc.specs.components import ArchitectureSpec


def register_groups() -> None:
    """Puts the registry into Hydra's store; doing so again changes nothing."""
    store = ConfigStore.instance()
    for name, architecture in NAMED.items():
        node = {"name": name, **architecture.to_dict()}
        store.store(group="architecture", name=name, node=node)
    for group, components in REGISTRY.items():
        for name, component in components.items():
            store.store(group=group, name=name, node=component.from_dict({}).to_dict())


def chosen_architecture(
    config: Mapping[str, Any],
) -> tuple[ArchitectureSpec, str | None]:
    """The architecture of a configuration, and its name if nothing was changed.

    A component group (`transform=elic`) replaces that part of `architecture`.

    Raises:
      ConfigError: none was chosen, or the parts do not fit together.
    """
    named = dict(config.get("architecture") or {})
    name = named.pop("name", None)
    parts = {group: config[group] for group in REGISTRY if config.get(group)}
    if not named and not parts:
        raise ConfigError(
            "an architecture is chosen",
            "none",
            f"add architecture=NAME, one of {', '.join(NAMED)}",
        )
    architecture = parse_architecture({**named, **parts})
    return architecture, name if NAMED.get(name) == architecture else None


NAMES = {arch_id(architecture): name for name, architecture in NAMED.items()}
