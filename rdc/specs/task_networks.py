"""The layouts of task networks, all of them torchvision's. No JAX here."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from rdc.specs.base import Spec, added, require

VOC_CLASSES = 21  # 20 and the background
EXPANSION = 4  # of a bottleneck block


@dataclass(frozen=True, kw_only=True)
class ResNetSpec(Spec):
    """He et al. 2016 as torchvision has it: a block's stride is at its 3 x 3 kernel.

    Attributes:
      widths: of the blocks of layer1 to layer4; a bottleneck gives four times as many
        channels. The stem has as many as layer1.
      blocks: of each layer.
      dilated: layers 3 and 4 keep H/8, their 3 x 3 taps lie two and four positions
        apart (torchvision's `replace_stride_with_dilation`, which knows bottlenecks
        alone).
    """

    classes: int
    widths: tuple[int, int, int, int] = (32, 64, 128, 256)
    blocks: tuple[int, int, int, int] = (1, 1, 1, 1)
    bottleneck: bool = False
    dilated: bool = added(False)

    def __post_init__(self) -> None:
        require(self.classes >= 2, "classes are two or more", self.classes)
        require(min(self.widths) >= 1, "widths are positive", self.widths)
        require(min(self.blocks) >= 1, "a layer has a block", self.blocks)

    @property
    def channels(self) -> tuple[int, ...]:
        """Of the outputs of layer1 to layer4."""
        expansion = EXPANSION if self.bottleneck else 1
        return tuple(width * expansion for width in self.widths)


def resnet50(classes: int) -> ResNetSpec:
    """ResNet-50, 25 557 032 parameters with ImageNet's 1000 classes."""
    return ResNetSpec(
        classes=classes,
        widths=(64, 128, 256, 512),
        blocks=(3, 4, 6, 3),
        bottleneck=True,
    )


@dataclass(frozen=True, kw_only=True)
class DeepLabSpec(Spec):
    """Chen et al. 2017 ("Rethinking Atrous Convolution"), as torchvision has it.

    Attributes:
      backbone: dilated; its classes are those of the pixels, the background included.
      head_channels: of each part of the head.
      auxiliary: a second classifier behind layer3, which helps to train.
    """

    backbone: ResNetSpec
    head_channels: int = 256
    auxiliary: bool = False

    def __post_init__(self) -> None:
        require(
            self.backbone.dilated,
            "the backbone of a segmentation is dilated",
            "one that is not",
        )
        require(self.head_channels >= 1, "channels are positive", self.head_channels)

    @property
    def classes(self) -> int:
        return self.backbone.classes


def deeplab_resnet50(classes: int = VOC_CLASSES) -> DeepLabSpec:
    """torchvision's `deeplabv3_resnet50` with its auxiliary classifier."""
    backbone = dataclasses.replace(resnet50(classes), dilated=True)
    return DeepLabSpec(backbone=backbone, auxiliary=True)


@dataclass(frozen=True, kw_only=True)
class RetinaNetSpec(Spec):
    """Lin et al. 2017 ("Focal Loss for Dense Object Detection"), as torchvision has it.

    Attributes:
      backbone: not dilated; its classes are those of the boxes. torchvision's weights
        have 91, COCO's ids with their gaps.
      pyramid_channels: of every level.
      first_stage: of the backbone's, whose output is the pyramid's finest level; a
        network is cut no later than behind it.
    """

    backbone: ResNetSpec
    pyramid_channels: int = 256
    first_stage: int = 2

    def __post_init__(self) -> None:
        require(
            not self.backbone.dilated,
            "the backbone of a detector is not dilated",
            "one",
        )
        require(
            self.pyramid_channels >= 1, "channels are positive", self.pyramid_channels
        )
        require(1 <= self.first_stage <= 4, "first_stage is 1 to 4", self.first_stage)

    @property
    def classes(self) -> int:
        return self.backbone.classes


def retinanet_resnet50(classes: int = 91) -> RetinaNetSpec:
    """torchvision's `retinanet_resnet50_fpn`."""
    return RetinaNetSpec(backbone=resnet50(classes))


TaskNetworkSpec = ResNetSpec | DeepLabSpec | RetinaNetSpec
