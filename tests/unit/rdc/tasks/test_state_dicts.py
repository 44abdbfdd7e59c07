"""Weights in torchvision's layout are read whole, or refused in one line."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from rdc.codec.exported import named_weights
from rdc.errors import DataError
from rdc.layers import ParameterFactory
from rdc.specs.task_networks import ResNetSpec, TaskNetworkSpec
from rdc.tasks.deeplab import DeepLabSpec
from rdc.tasks.networks import build
from rdc.tasks.resnet import ResNet
from rdc.tasks.retinanet import RetinaNetSpec
from rdc.tasks.state_dicts import load_torchvision

SPEC = ResNetSpec(classes=3, widths=(2, 2, 3, 4))
DEEPLAB = DeepLabSpec(
    backbone=dataclasses.replace(SPEC, dilated=True), head_channels=2, auxiliary=True
)
RETINANET = RetinaNetSpec(backbone=SPEC, pyramid_channels=2)


def safetensors(tensors: dict[str, np.ndarray], dtype: str = "F32") -> bytes:
    """As the format's page describes it, with PyTorch's counters."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, value in tensors.items():
        offsets = [len(body), len(body) + value.nbytes]
        header[name] = {
            "dtype": dtype,
            "shape": value.shape,
            "data_offsets": offsets,
        }
        body += value.tobytes()
    header["bn1.num_batches_tracked"] = {
        "dtype": "I64",
        "shape": [],
        "data_offsets": [len(body), len(body) + 8],
    }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body + bytes(8)


def state_dict(network: nnx.Module) -> dict[str, np.ndarray]:
    """O,I,H,W and `weight`, as torchvision has them."""
    found = {}
    for name, leaf in named_weights(nnx.state(network)).items():
        value = np.asarray(leaf)
        axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[value.ndim]
        theirs = name.replace("kernel", "weight").replace("heads.", "head.")
        found[theirs] = value.transpose(axes)
    return found


def test_weights_are_turned(tmp_path: Path) -> None:
    saved = ResNet(SPEC, ParameterFactory(5))
    tensors = state_dict(saved)
    assert tensors["conv1.weight"].shape == (2, 3, 7, 7)  # as PyTorch prints it
    assert tensors["fc.weight"].shape == (3, 4)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(safetensors(tensors))
    network, sha256 = load_torchvision(path, SPEC)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    found = named_weights(nnx.state(network))
    for name, value in named_weights(nnx.state(saved)).items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (DEEPLAB, "classifier.0.convs.1.0.weight"),
        (RETINANET, "backbone.fpn.layer_blocks.2.0.weight"),
        (RETINANET, "head.classification_head.conv.3.0.weight"),
    ],
)
def test_segmentations_and_detectors_are_read_alike(
    tmp_path: Path, spec: TaskNetworkSpec, name: str
) -> None:
    saved = build(spec, ParameterFactory(5))
    tensors = state_dict(saved)
    assert tensors[name].shape[2:] == (3, 3)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(safetensors(tensors))
    network, _ = load_torchvision(path, spec)
    found = state_dict(network)
    for key, value in tensors.items():
        np.testing.assert_array_equal(found[key], value)
    with pytest.raises(DataError, match=r"no bn1\.bias"):
        load_torchvision(path, SPEC)


def test_other_networks_and_damaged_files_are_refused(tmp_path: Path) -> None:
    tensors = state_dict(ResNet(SPEC, ParameterFactory(5)))
    path = tmp_path / "weights.safetensors"

    def refused(data: bytes, message: str) -> None:
        path.write_bytes(data)
        with pytest.raises(DataError, match=message):
            load_torchvision(path, SPEC)

    whole = safetensors(tensors)
    refused(whole[:-100], "a whole safetensors file")
    refused(b"PK", "a whole safetensors file")
    refused(safetensors(tensors, "F16"), "a tensor of F16")
    refused(safetensors({**tensors, "fc.more": tensors["fc.bias"]}), "also fc.more")
    fewer = {name: value for name, value in tensors.items() if name != "fc.bias"}
    refused(safetensors(fewer), "no fc.bias; 1 missing, 0 unknown")
    wider = {**tensors, "fc.bias": np.zeros(4, np.float32)}
    refused(safetensors(wider), r"fc.bias of .* has the shape \(3,\); got \(4,\)")
    with pytest.raises(DataError, match="No such file"):
        load_torchvision(tmp_path / "none", SPEC)
