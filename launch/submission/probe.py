"""`python -m launch.submission.probe JSON`: what a cluster lacks for a sweep.

Runs as a job of its own before the sweep does. Looks from where drivers of jobs run,
and from each node: OUT, the images, the scratch folder.
"""

from __future__ import annotations

import json
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rdc.errors import RdcError
from rdc.specs.base import Spec
from rdc.system.store import Store, is_url

MARK = "probe:"
NODE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Wanted(Spec):
    """What a sweep needs of every machine.

    Attributes:
      out: a folder or a URL.
      images: folders and lists, under one path everywhere.
      carried: nodes get the images from OUT.
      scratch: of each node, where OUT is a store.
    """

    out: str
    images: tuple[str, ...]
    carried: bool
    scratch: str


def lacks(wanted: Wanted) -> list[str]:
    """What is missing, a clause each; needs the Ray of the job."""
    from launch.executors.ray_session import RaySession

    found = [f"the job's machine: {fault}" for fault in _faults_of_driver(wanted)]
    if found:
        return found  # nodes would say the same, or cannot be asked
    trace = None
    if not is_url(wanted.out):
        trace = Path(wanted.out) / f".probe-{uuid.uuid4().hex}"
        trace.touch()
    session = RaySession("auto")
    try:
        return list(_of_nodes(session.ray, wanted, trace))
    finally:
        session.close()
        if trace is not None:
            trace.unlink(missing_ok=True)


def _faults_of_driver(wanted: Wanted) -> Iterator[str]:
    try:
        if is_url(wanted.out):
            Store(wanted.out).check()
        else:
            folder = Path(wanted.out)
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-"):
                pass
    except RdcError as error:
        yield _clause(error)
    except OSError as error:
        yield f"cannot write OUT {wanted.out}: {error.strerror}"
    yield from _faults_of_images(wanted.images)


def _faults_of_images(sources: Sequence[str]) -> Iterator[str]:
    from rdc.data.image_sets import list_images

    for source in sources:
        try:
            list_images(source)
        except RdcError as error:
            yield _clause(error)


def _of_nodes(ray: Any, wanted: Wanted, trace: Path | None) -> Iterator[str]:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0, max_retries=0)(faults_of_node)
    asked = {}
    for node in ray.nodes():
        # Without cores of its own a node gets no jobs.
        if node["Alive"] and node["Resources"].get("CPU"):
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = look.options(scheduling_strategy=here)
            place = None if trace is None else str(trace)
            asked[task.remote(wanted.to_dict(), place)] = node["NodeManagerAddress"]
    done, late = ray.wait(list(asked), num_returns=len(asked), timeout=NODE_SECONDS)
    for reference in done:
        try:
            faults = ray.get(reference)
        except Exception as error:  # whatever Ray says of a node or its Python
            faults = [str(error).strip().splitlines()[-1]]
        yield from (f"node {asked[reference]}: {fault}" for fault in faults)
    for reference in late:
        yield f"node {asked[reference]}: no answer within {NODE_SECONDS:g} s"


def faults_of_node(plain: dict[str, Any], trace: str | None) -> list[str]:
    """What a node lacks.

    Args:
      plain: a `Wanted`.
      trace: a file in OUT that the driver made.
    """
    wanted = Wanted.from_dict(plain)
    faults = []
    if trace is not None and not Path(trace).exists():
        faults.append(f"OUT {wanted.out} is not the folder that the driver sees")
    if trace is None:
        try:
            Store(wanted.out).check()
            Path(wanted.scratch).mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=wanted.scratch, prefix=".probe-"):
                pass
        except RdcError as error:
            faults.append(_clause(error))
        except OSError as error:
            faults.append(f"cannot write {wanted.scratch}: {error.strerror}")
    if not wanted.carried:
        faults += _faults_of_images(wanted.images)
    return faults


def _clause(error: RdcError) -> str:
    return str(error).rstrip(".")


def main() -> int:
    wanted = Wanted.from_dict(json.loads(sys.argv[1]))
    try:
        found = lacks(wanted)
    except RdcError as error:  # its Ray is not the cluster's
        found = [_clause(error)]
    print(MARK, json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
