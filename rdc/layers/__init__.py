"""Layers that components are composed of: thin NNX shells over `rdc.ops`."""

from rdc.layers.batch_norm import BatchNorm
from rdc.layers.convolution import Conv, Gdn, PaddedConv, UpConv
from rdc.layers.depthwise import (
    DepthToSpace,
    LeakyRelu,
    Residual,
    SpaceToDepth,
    depth_block,
    doubling_block,
    halving_block,
    one_scale_block,
    wide_depth_block,
)
from rdc.layers.network import Appended, Branches, Network, Relu
from rdc.layers.parameters import ParameterFactory
from rdc.layers.pooling import MaxPool
from rdc.layers.rate_gains import (
    NO_GAINS,
    Rate,
    RateGains,
    SharedGains,
    StepGains,
    gain_logs,
)
from rdc.layers.residual import AttentionBlock, ResidualBlock
from rdc.layers.swin import PatchMerging, PatchSplitting, SwinStage

__all__ = [
    "NO_GAINS",
    "Appended",
    "AttentionBlock",
    "BatchNorm",
    "Branches",
    "Conv",
    "DepthToSpace",
    "Gdn",
    "LeakyRelu",
    "MaxPool",
    "Network",
    "PaddedConv",
    "ParameterFactory",
    "PatchMerging",
    "PatchSplitting",
    "Rate",
    "RateGains",
    "Relu",
    "Residual",
    "ResidualBlock",
    "SharedGains",
    "SpaceToDepth",
    "StepGains",
    "SwinStage",
    "UpConv",
    "depth_block",
    "doubling_block",
    "gain_logs",
    "halving_block",
    "one_scale_block",
    "wide_depth_block",
]
