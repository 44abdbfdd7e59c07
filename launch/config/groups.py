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
from rdc.registry import REGISTRY, arch_id


def registered(group: str) -> Mapping[str, Any]:
    """The options of a group that are declared in code, by name."""
    return NAMED if group == "architecture" else REGISTRY.get(group, {})


def register_groups() -> None:
    """Puts the registry into Hydra's store; doing so again changes nothing."""
    store = ConfigStore.instance()
    for name, architecture in NAMED.items():
        node = {"name": name, **architecture.to_dict()}
        store.store(group="architecture", name=name, node=node)
    for group, components in REGISTRY.items():
        for name, component in components.items():
            store.store(group=group, name=name, node=component.from_dict({}).to_dict())


NAMES = {arch_id(architecture): name for name, architecture in NAMED.items()}
