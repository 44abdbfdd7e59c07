"""Layers that components are composed of: thin NNX shells over `rdc.ops`."""

from rdc.layers.batch_norm import BatchNorm
from rdc.layers.convolution import Conv, Gdn, PaddedConv, UpConv
from rdc.layers.network import Branches, Network, Relu
from rdc.layers.parameters import ParameterFactory
from rdc.layers.rate_gains import NO_GAINS, Rate, RateGains, StepGains, gain_logs
from rdc.layers.residual import AttentionBlock, ResidualBlock
from rdc.layers.swin import PatchMerging, PatchSplitting, SwinStage

__all__ = [
    "NO_GAINS",
    "AttentionBlock",
    "BatchNorm",
    "Branches",
    "Conv",
    "Gdn",
    "Network",
    "PaddedConv",
    "ParameterFactory",
    "PatchMerging",
    "PatchSplitting",
    "Rate",
    "RateGains",
    "Relu",
    "ResidualBlock",
    "StepGains",
    "SwinStage",
    "UpConv",
    "gain_logs",
]
