"""A trained model as a folder that can be shipped: weights, tables, spec."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from flax import nnx

from rdc.architectures import build
from rdc.codec.model_folders import (
    SCHEMA_VERSION,
    SPEC_FILE,
    no_model,
    read_model_spec,
)
from rdc.codec.stored_weights import packed, unpacked
from rdc.complexity import count
from rdc.entropy_coders.tables import CdfTables, gaussian_tables, tables_from_pmfs
from rdc.errors import StorageError
from rdc.identity import NUMERICS_VERSION, content_id
from rdc.model import CompressionModel
from rdc.registry import parse_architecture
from rdc.specs.base import require
from rdc.specs.checkpoint import MODEL_DTYPES
from rdc.specs.coding import OperatingPoint
from rdc.specs.components import ArchitectureSpec
from rdc.system.arrays import npz_bytes
from rdc.system.files import write_bytes_atomically, write_json_atomically
from rdc.system.host import on_the_cpu

Module = TypeVar("Module", bound=nnx.Module)

PRIOR_LIMIT = 255  # the prior's tables reach at most this far; beyond is escaped
# Tables of the prior per operating point: the gains of a file differ from those of its
# tables by a sixteenth of a rate at most.
PRIORS_PER_RATE = 8


@dataclass(frozen=True)
class ExportedModel:
    """What a model folder holds.

    Attributes:
      identity: 16 hex digits of architecture, weights, tables and numerics version; in
        every bitstream.
      gaussian: one table per `scale_index`.
      priors: one table per channel of z, or of y without a hyper-transform; of
        several rates, for rates in steps of an eighth.
      operating_points: the rates that the model was trained for.
      decoder_peak_bytes_per_px: of the networks, as `rdc.complexity` counts it.
    """

    model: CompressionModel
    identity: str
    gaussian: CdfTables
    priors: tuple[CdfTables, ...]
    provenance: dict[str, Any]
    operating_points: tuple[OperatingPoint, ...]
    decoder_peak_bytes_per_px: float

    def prior(self, rate: float) -> CdfTables:
        """The tables of a rate, or of the nearest that has some."""
        nearest = round(rate * PRIORS_PER_RATE) if len(self.priors) > 1 else 0
        return self.priors[nearest]


@on_the_cpu()
def export(
    model: CompressionModel,
    folder: Path,
    provenance: dict[str, Any],
    operating_points: Sequence[OperatingPoint],
    weights_dtype: str = "float32",
) -> ExportedModel:
    """Writes `model` with its integer tables, frozen from here on.

    Args:
      provenance: how it was trained; kept as it is.
      weights_dtype: one of `MODEL_DTYPES`, see `rdc.codec.stored_weights`. The
        tables are made from the weights as they are stored.

    Raises:
      DiskFullError: no space left. `spec.json` is written last: a folder without it
        is no model.
    """
    require(
        weights_dtype in MODEL_DTYPES,
        f"exported weights are of {' or '.join(MODEL_DTYPES)}",
        weights_dtype,
    )
    rates = _num_rates(model)
    require(
        len(operating_points) == rates,
        f"a model of {rates} rates is exported with as many operating points",
        len(operating_points),
    )
    weights = packed(named_weights(nnx.state(model)), weights_dtype)
    model = with_weights(model, unpacked(weights))
    gaussian = gaussian_tables()
    prior = prior_tables(model)
    files = {
        "weights.npz": npz_bytes(weights),
        "tables.npz": npz_bytes(
            {f"gaussian_{k}": v for k, v in gaussian.to_arrays().items()}
            | {f"prior_{k}": v for k, v in prior.to_arrays().items()}
        ),
    }
    sha256 = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    for name, data in files.items():
        write_bytes_atomically(folder / name, data)
    exported = ExportedModel(
        model,
        _identity(model.spec, {"weights_dtype": weights_dtype, "sha256": sha256}),
        gaussian,
        _priors(model, prior),
        provenance,
        tuple(operating_points),
        count(model.spec).decoder_peak_bytes_per_px,
    )
    spec = {
        "schema_version": SCHEMA_VERSION,
        "numerics_version": NUMERICS_VERSION,
        "identity": exported.identity,
        "architecture": model.spec.to_dict(),
        "operating_points": [point.to_dict() for point in exported.operating_points],
        "decoder_peak_bytes_per_px": exported.decoder_peak_bytes_per_px,
        "decoder_kflops_per_px": count(model.spec).kflops_per_px,
        "weights_dtype": weights_dtype,
        "sha256": sha256,
        "provenance": provenance,
    }
    write_json_atomically(folder / SPEC_FILE, spec)
    return exported


def in_memory(
    model: CompressionModel, operating_points: Sequence[OperatingPoint] = ()
) -> ExportedModel:
    """What `export` would write of `model`, without a folder.

    The identity is of the weights themselves: another one than that of the export.

    Args:
      operating_points: (): as many as it has rates, of unknown lambda.
    """
    if not operating_points:
        rates = range(_num_rates(model))
        operating_points = [OperatingPoint(rate=rate) for rate in rates]
    digest = hashlib.sha256()
    for name, weights in sorted(named_weights(nnx.state(model)).items()):
        digest.update(name.encode())
        digest.update(np.asarray(weights).tobytes())
    return ExportedModel(
        model,
        _identity(model.spec, {"weights": digest.hexdigest()}),
        gaussian_tables(),
        _priors(model, prior_tables(model)),
        {},
        tuple(operating_points),
        count(model.spec).decoder_peak_bytes_per_px,
    )


def load_exported(folder: Path) -> ExportedModel:
    """Reads a model folder.

    Raises:
      ConfigError: not a model folder, or of another version.
      StorageError: a file is damaged.
    """
    folder = Path(folder)
    spec = read_model_spec(folder)
    try:
        files = {name: (folder / name).read_bytes() for name in spec["sha256"]}
    except FileNotFoundError as error:
        raise no_model(folder, error) from None
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != spec["sha256"][name]:
            raise StorageError(
                f"{folder / name} fits its checksum", "other bytes", "export it again"
            )
    weights = unpacked(np.load(io.BytesIO(files["weights.npz"])))
    tables = np.load(io.BytesIO(files["tables.npz"]))
    points = tuple(
        OperatingPoint.from_dict(values, "operating_points")
        for values in spec["operating_points"]
    )
    # Of the rates, their number alone: the gains are among the weights.
    model = build(
        parse_architecture(spec["architecture"]), None, range(1, len(points) + 1)
    )
    model = with_weights(model, weights)
    return ExportedModel(
        model,
        spec["identity"],
        CdfTables.from_arrays(_prefixed(tables, "gaussian_")),
        _priors(model, CdfTables.from_arrays(_prefixed(tables, "prior_"))),
        spec["provenance"],
        points,
        spec["decoder_peak_bytes_per_px"],
    )


def prior_tables(model: CompressionModel) -> CdfTables:
    """Integer tables of the factorised prior, one per channel, for each rate."""
    gains = model.gains if model.hyper_synthesis is None else model.hyper_gains
    steps: list[float | np.ndarray] = [1.0]
    if gains is not None:
        count = (gains.num_rates - 1) * PRIORS_PER_RATE + 1
        rates = [i / PRIORS_PER_RATE for i in range(count)]
        steps = [np.exp(-gains.on_host(rate).gain) for rate in rates]
    masses = np.concatenate([model.prior.masses(PRIOR_LIMIT, step) for step in steps])
    return tables_from_pmfs(masses, [-PRIOR_LIMIT] * len(masses))


def _num_rates(model: CompressionModel) -> int:
    return 1 if model.gains is None else model.gains.num_rates


def _priors(model: CompressionModel, tables: CdfTables) -> tuple[CdfTables, ...]:
    return tables.groups(len(tables) // model.prior.channels)


def with_weights(model: Module, weights: Mapping[str, np.ndarray]) -> Module:
    """A module like `model`, maybe without weights of its own, with these."""
    paths, tree = jax.tree.flatten_with_path(nnx.state(model))
    # All at once, and without a compilation for each shape.
    leaves = jax.device_put([weights[_name(path)] for path, _ in paths])
    return nnx.merge(nnx.graphdef(model), jax.tree.unflatten(tree, leaves))


def _identity(architecture: ArchitectureSpec, content: dict[str, Any]) -> str:
    return content_id(
        "model",
        {
            "architecture": architecture.identity(),
            "numerics_version": NUMERICS_VERSION,
            **content,
        },
    )


def named_weights(state: Any) -> dict[str, Any]:
    """The arrays of a module's state by their paths: what `with_weights` takes."""
    return {_name(path): leaf for path, leaf in jax.tree.leaves_with_path(state)}


def weights_sha256(network: nnx.Module) -> str:
    """Of names, shapes and values, 64 hex digits."""
    digest = hashlib.sha256()
    for name, value in sorted(named_weights(nnx.state(network)).items()):
        array = np.asarray(value, "<f4")
        digest.update(f"{name} {array.shape}\n".encode() + array.tobytes())
    return digest.hexdigest()


def _name(path: tuple) -> str:
    keys = [str(getattr(key, "key", getattr(key, "name", key))) for key in path]
    return ".".join(keys).removesuffix(".value")


def _prefixed(arrays: Any, prefix: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): arrays[name]
        for name in arrays.files
        if name.startswith(prefix)
    }
