"""Machines and resources in the words of Ray."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sweeps.capacity import Capacity, Machine, Resources

_ACCELERATOR = "ray.io/accelerator-type"
_NODE = "ray.io/node-id"  # another one at each start of the node
_OWN = ("CPU", "GPU", "memory", "object_store_memory")


def machine_of(node: Mapping[str, Any]) -> Machine:
    """A node, as `ray.nodes` tells of it."""
    resources, labels = node["Resources"], node.get("Labels") or {}
    return Machine(
        cpus=int(resources.get("CPU", 0)),
        gpus=resources.get("GPU", 0.0),
        memory_gb=resources.get("memory", 0.0) / 1e9,
        device=labels.get(_ACCELERATOR),
        labels={key: value for key, value in labels.items() if key != _NODE},
        custom={
            name: amount
            for name, amount in resources.items()
            if name not in _OWN and not name.startswith("node:")
        },
    )


def task_options(
    capacity: Capacity, wanted: Resources, but: Iterable[str] = ()
) -> dict[str, Any]:
    """What a task is started with, so that it lands where it has all of it.

    Args:
      but: ids of nodes where it does not land.
    """
    labels, nodes = labels_of(wanted.device), ",".join(sorted(but))
    if nodes:
        labels[_NODE] = f"!in({nodes})"
    memory = capacity.memory_gb_of(wanted)
    return {
        "num_cpus": capacity.cpus_of(wanted),
        "num_gpus": wanted.gpus,
        "memory": None if memory is None else int(memory * 1e9),
        "resources": dict(wanted.custom),
        "label_selector": labels,
    }


def labels_of(device: str | None) -> dict[str, str]:
    """The labels of nodes that are what `Resources.device` names."""
    if device is None:
        return {}
    key, is_label, value = device.partition("=")
    return {key: value} if is_label else {_ACCELERATOR: device}


def bundle_of(options: Mapping[str, Any]) -> dict[str, float]:
    """The amounts of `task_options`, in the words of an autoscaler."""
    amounts = {
        "CPU": options["num_cpus"],
        "GPU": options["num_gpus"],
        "memory": options["memory"],
        **options["resources"],
    }
    return {name: amount for name, amount in amounts.items() if amount}
