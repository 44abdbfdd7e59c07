"""torchvision's weights of task networks, from a safetensors file."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from rdc.codec.exported import named_weights, with_weights
from rdc.errors import DataError
from rdc.layers import ParameterFactory
from rdc.specs.task_networks import TaskNetworkSpec
from rdc.tasks.networks import build

_LENGTH_BYTES = 8  # of the header's length, before it
_COUNTER = "num_batches_tracked"  # PyTorch's BatchNorm counts; nothing reads it


def load_torchvision(path: Path, spec: TaskNetworkSpec) -> tuple[Any, str]:
    """A network with the weights of a file, and the file's SHA-256, 64 hex digits.

    Kernels are O,I,H,W in the file and H,W,I,O here; that of fc is turned likewise.

    Raises:
      DataError: no safetensors file, or names, types or shapes of another network.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError("weights are in a file", f"{path} ({error.strerror})") from None
    network = build(spec, ParameterFactory(None))
    wanted = named_weights(nnx.state(network))
    tensors = _tensors(data, path)
    found = {_our_name(name, value): value for name, value in tensors.items()}
    missing, unknown = sorted({*wanted} - {*found}), sorted({*found} - {*wanted})
    if missing or unknown:
        first = f"no {missing[0]}" if missing else f"also {unknown[0]}"
        raise DataError(
            f"{path} has the weights of this network",
            f"{first}; {len(missing)} missing, {len(unknown)} unknown",
            "give the spec of the network that was saved",
        )
    weights = {name: _turned(value) for name, value in found.items()}
    for name, value in weights.items():
        if value.shape != wanted[name].shape:
            raise DataError(
                f"{name} of {path} has the shape {wanted[name].shape}",
                value.shape,
                "give the spec of the network that was saved",
            )
    return with_weights(network, weights), hashlib.sha256(data).hexdigest()


def _our_name(name: str, value: np.ndarray) -> str:
    """A convolution's or fc's `weight` is a `kernel` here; a BatchNorm's is not.

    A detector's `head` is `heads`: its head in a teacher's sense has the pyramid, too.
    """
    stem, _, last = name.rpartition(".")
    if stem.startswith("head."):
        stem, name = f"heads{stem[4:]}", f"heads{name[4:]}"
    return f"{stem}.kernel" if last == "weight" and value.ndim > 1 else name


def _turned(value: np.ndarray) -> np.ndarray:
    if value.ndim == 4:
        return value.transpose(2, 3, 1, 0)
    return value.T


def _tensors(data: bytes, path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, all float32, without PyTorch's counters."""
    try:
        length = int.from_bytes(data[:_LENGTH_BYTES], "little")
        header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
        body = data[_LENGTH_BYTES + length :]
        return {
            name: _tensor(entry, body)
            for name, entry in header.items()
            if name != "__metadata__" and not name.endswith(_COUNTER)
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is a whole safetensors file of float32 tensors",
            error,
            "save the state dict with the package safetensors",
        ) from None


def _tensor(entry: dict[str, Any], body: bytes) -> np.ndarray:
    start, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if entry["dtype"] != "F32":
        raise ValueError(f"a tensor of {entry['dtype']}")
    if not 0 <= start <= end <= len(body) or end - start != 4 * math.prod(shape):
        raise ValueError(f"a tensor of {shape} from byte {start} to {end}")
    return np.frombuffer(body[start:end], "<f4").reshape(shape)
