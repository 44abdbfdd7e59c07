"""TPU slices of a Ray cluster. The one place that uses `ray.util.tpu`, an alpha API.

Its own reservation of a slice waits for the cluster, and leaves it open which host is
which; a driver waits for nobody, and the rank of a process is the number of its host.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

_KIND = "ray.io/tpu-pod-type"
_NAME = "ray.io/tpu-slice-name"
_HOST = "ray.io/tpu-worker-id"


def chosen_slice(
    kind: str, nodes: Sequence[Mapping[str, Any]], held: Collection[str | None]
) -> str | None:
    """Name of the slice whose hosts a training gets, or waits for; None: there is none.

    Args:
      kind: as `v4-16`.
      nodes: that may be given work, as `ray.nodes` tells.
      held: slices that are not wanted while there are others.
    """
    from ray._private.state import available_resources_per_node
    from ray.util.tpu import get_tpu_slice_name_from_node

    free = available_resources_per_node()
    hosts: dict[str, list[bool]] = defaultdict(list)  # of each slice, which are idle
    for node in nodes:
        name = get_tpu_slice_name_from_node(dict(node))
        if name is not None and node["Labels"].get(_KIND) == kind:
            idle = free.get(node["NodeID"], {}).get("TPU", 0.0)
            hosts[name].append(idle >= node["Resources"].get("TPU", 0.0))
    return max(
        sorted(hosts),
        key=lambda name: (name not in held, len(hosts[name]), all(hosts[name])),
        default=None,
    )


def host_labels(slice_name: str, rank: int) -> dict[str, str]:
    """Of the host of a slice that has the process of a rank."""
    return {_NAME: slice_name, _HOST: str(rank)}
