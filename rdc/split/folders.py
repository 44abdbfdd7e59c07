"""A trained split method as a folder: networks, tables, what changed of the teacher."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from rdc.codec.exported import named_weights, weights_sha256, with_weights
from rdc.entropy_coders.tables import CdfTables
from rdc.errors import BitstreamError, ConfigError, StorageError
from rdc.layers import ParameterFactory
from rdc.split.base import SplitMethod
from rdc.split.network_specs import PlacementSpec, ReductionSpec, StudentSpec
from rdc.split.placement import Placement
from rdc.split.reduction import Reduction
from rdc.split.student import Student
from rdc.system.arrays import npz_bytes
from rdc.system.files import read_json, write_bytes_atomically, write_json_atomically

SPEC_FILE, WEIGHTS_FILE = "split.json", "weights.npz"
SCHEMA_VERSION = 1
_NETWORKS, _TABLES, _TEACHER = "networks.", "tables.", "teacher."

NetworksSpec = StudentSpec | ReductionSpec | PlacementSpec
Networks = Student | Reduction | Placement
Builder = Callable[[Any, ParameterFactory], Networks]
KINDS: dict[str, tuple[type[NetworksSpec], Builder]] = {
    "student": (StudentSpec, Student),
    "reduction": (ReductionSpec, Reduction),
    "placement": (PlacementSpec, Placement),
}


def networks_of(spec: NetworksSpec, parameters: ParameterFactory) -> Networks:
    """The networks of a spec."""
    _, networks = KINDS[_kind(spec)]
    return networks(spec, parameters)


def save(
    networks: Networks,
    method: SplitMethod,
    folder: Path,
    teacher: Any,
    changed: Any = None,
    provenance: dict[str, Any] | None = None,
) -> None:
    """Writes what `load` reads.

    Args:
      networks: that `method` was made of.
      teacher: that the method was trained with, as it was before.
      changed: the same network with the weights that were trained with the method;
        None: none were.
      provenance: JSON, kept as it is.
    """
    before = named_weights(nnx.state(teacher))
    after = {} if changed is None else named_weights(nnx.state(changed))
    arrays = {
        **_prefixed(_NETWORKS, named_weights(nnx.state(networks))),
        **_prefixed(
            _TEACHER,
            {k: v for k, v in after.items() if not np.array_equal(v, before[k])},
        ),
    }
    for name, tables in method.tables.items():
        arrays |= _prefixed(f"{_TABLES}{name}.", tables.to_arrays())
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(folder / WEIGHTS_FILE, npz_bytes(arrays))
    write_json_atomically(
        folder / SPEC_FILE,
        {
            "schema_version": SCHEMA_VERSION,
            "kind": _kind(networks.spec),
            "spec": networks.spec.to_dict(),
            "name": method.name,
            "setting": method.setting,
            "method_id": method.method_id,
            "tables": sorted(method.tables),
            "teacher_sha256": weights_sha256(teacher),
            "provenance": provenance or {},
        },
    )


def load(folder: Path, teacher: Any) -> SplitMethod:
    """A saved method before a teacher's tail, ready to encode and to answer.

    Raises:
      ConfigError: no method there, one of another version or of another teacher.
      StorageError: its files do not belong together.
    """
    stored = read_spec(folder)
    if stored["teacher_sha256"] != weights_sha256(teacher):
        raise ConfigError(
            f"the method in {folder} stands before the teacher it was trained with",
            "other weights",
            "load that teacher",
        )
    networks, arrays = _stored_networks(folder, stored)
    try:
        tables = {
            name: CdfTables.from_arrays(_under(f"{_TABLES}{name}.", arrays))
            for name in stored["tables"]
        }
        if changed := _under(_TEACHER, arrays):
            weights = {**named_weights(nnx.state(teacher)), **changed}
            teacher = with_weights(teacher, weights)
    except (ValueError, KeyError, BitstreamError) as error:
        raise _damaged(folder, error) from error
    method = networks.method(teacher, stored["setting"], stored["name"], tables)
    if method.method_id != stored["method_id"]:
        raise _damaged(folder, f"weights of {method.method_id}")
    return method


def load_networks(folder: Path) -> Networks:
    """The networks of a saved method, whatever its teacher; raises as `load`."""
    return _stored_networks(folder, read_spec(folder))[0]


def _stored_networks(
    folder: Path, stored: dict[str, Any]
) -> tuple[Networks, dict[str, np.ndarray]]:
    """Ready to evaluate, and all arrays of the folder."""
    spec_type, _ = KINDS[stored["kind"]]
    abstract = networks_of(spec_type.from_dict(stored["spec"]), ParameterFactory(None))
    try:
        with np.load(io.BytesIO((folder / WEIGHTS_FILE).read_bytes())) as file:
            arrays = dict(file)
        networks = with_weights(abstract, _under(_NETWORKS, arrays))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(folder, error) from error
    networks.eval()
    return networks, arrays


def read_spec(folder: Path) -> dict[str, Any]:
    """What stands in a method's `split.json`; raises `ConfigError` as `load`."""
    if not (folder / SPEC_FILE).is_file():
        raise ConfigError(
            f"a trained split method is a folder with {SPEC_FILE}", folder
        )
    stored = read_json(folder / SPEC_FILE)
    if stored["schema_version"] != SCHEMA_VERSION:
        raise ConfigError(
            f"this program reads split methods of version {SCHEMA_VERSION}",
            stored["schema_version"],
        )
    return stored


def _kind(spec: NetworksSpec) -> str:
    return next(kind for kind, (known, _) in KINDS.items() if type(spec) is known)


def _prefixed(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    return {prefix + key: value for key, value in arrays.items()}


def _under(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    return {
        k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)
    }


def _damaged(folder: Path, found: object) -> StorageError:
    return StorageError(
        f"the files of the split method in {folder} belong together",
        found,
        "copy the folder again",
    )
