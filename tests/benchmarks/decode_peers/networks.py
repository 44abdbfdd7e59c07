"""Decoders in PyTorch: CompressAI's where it has them, twins of ours where not.

    conv    CompressAI's MeanScaleHyperprior(192, 320)
    elic    the synthesis of CompressAI's Elic2022Official(192, 320) behind the
            hyper-synthesis of `conv`: its own entropy model has no counterpart here
    charm   twin of `minnen2020_charm`, its layers CompressAI's
    swint   twin of `rdc_e`

Every decoder is called with (z_hat, symbols) and gives x_hat, f32[1,3,H,W].
"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

sys.path.append(str(Path(__file__).parents[1] / "training"))
import unused_packages  # noqa: F401, before CompressAI

# isort: split
from compressai.layers import GDN1
from compressai.models import Elic2022Official, MeanScaleHyperprior
from compressai.models.utils import conv, deconv


class Hyperprior(nn.Module):
    """Means and scales from the hyper-synthesis alone."""

    def __init__(self, h_s, g_s, hyperlatent_channels, latent_channels):
        super().__init__()
        self.h_s, self.g_s = h_s, g_s
        self.hyperlatent_channels = hyperlatent_channels
        self.latent_channels = latent_channels

    def forward(self, z_hat, symbols):
        _, means = self.h_s(z_hat).chunk(2, 1)
        return self.g_s(symbols + means)


def conv_decoder():
    model = MeanScaleHyperprior(192, 320)
    return Hyperprior(model.h_s, model.g_s, 192, 320)


def elic_decoder():
    return Hyperprior(
        MeanScaleHyperprior(192, 320).h_s, Elic2022Official(192, 320).g_s, 192, 320
    )


def hyper_synthesis(widths):
    """5x5 up, 5x5 up, 3x3, from 192 channels."""
    first, second, out = widths
    return nn.Sequential(
        deconv(192, first),
        nn.ReLU(inplace=True),
        deconv(first, second),
        nn.ReLU(inplace=True),
        conv(second, out, kernel_size=3, stride=1),
    )


class Charm(nn.Module):
    """Minnen & Singh 2020: ten slices; the first five are support."""

    hyperlatent_channels, latent_channels = 192, 320

    def __init__(self):
        super().__init__()
        self.mean_features = hyper_synthesis((192, 256, 320))
        self.scale_features = hyper_synthesis((192, 256, 320))
        support = [320 + 32 * min(i, 5) for i in range(10)]
        self.means = nn.ModuleList(map(self.slice_network, support))
        self.scales = nn.ModuleList(map(self.slice_network, support))
        self.lrps = nn.ModuleList(self.slice_network(width + 32) for width in support)
        self.g_s = nn.Sequential(
            deconv(320, 192),
            GDN1(192, inverse=True),
            deconv(192, 192),
            GDN1(192, inverse=True),
            deconv(192, 192),
            GDN1(192, inverse=True),
            deconv(192, 3),
        )

    @staticmethod
    def slice_network(width):
        return nn.Sequential(
            conv(width, 224, kernel_size=5, stride=1),
            nn.ReLU(inplace=True),
            conv(224, 128, kernel_size=5, stride=1),
            nn.ReLU(inplace=True),
            conv(128, 32, kernel_size=3, stride=1),
        )

    def forward(self, z_hat, symbols):
        mean_features = self.mean_features(z_hat)
        scale_features = self.scale_features(z_hat)
        decoded = []
        for i, part in enumerate(symbols.chunk(10, 1)):
            mean_input = torch.cat([mean_features, *decoded[:5]], 1)
            self.scales[i](torch.cat([scale_features, *decoded[:5]], 1))
            value = part + self.means[i](mean_input)
            residual = self.lrps[i](torch.cat([mean_input, value], 1))
            decoded.append(value + 0.5 * torch.tanh(residual))
        return self.g_s(torch.cat(decoded, 1))


class SwinBlock(nn.Module):
    """Liu et al. 2021, on f32[1,H,W,C]; windows of 8, heads of 32 channels."""

    window, head_dim = 8, 32

    def __init__(self, channels, shifted):
        super().__init__()
        heads = channels // self.head_dim
        self.attention_norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.projection = nn.Linear(channels, channels)
        self.bias = nn.Parameter(torch.randn(1, heads, *[self.window**2] * 2))
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
        )
        self.shift = self.window // 2 if shifted else 0
        self.masks = {}

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(x)

    def attention(self, x):
        _, height, width, channels = x.shape
        size, shift = self.window, self.shift
        bias = self.mask(height, width)
        if shift:
            x = torch.roll(x, (-shift, -shift), (1, 2))
        x = x.reshape(height // size, size, width // size, size, channels)
        x = x.transpose(1, 2).reshape(-1, size**2, channels)
        qkv = self.qkv(x).reshape(x.shape[0], size**2, 3, -1, self.head_dim)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        x = functional.scaled_dot_product_attention(query, key, value, bias)
        x = self.projection(x.transpose(1, 2).reshape(-1, size**2, channels))
        x = x.reshape(height // size, width // size, size, size, channels)
        x = x.transpose(1, 2).reshape(1, height, width, channels)
        return torch.roll(x, (shift, shift), (1, 2)) if shift else x

    def mask(self, height, width):
        """Bias of relative positions and, where shifted, of regions: made once."""
        if (height, width) not in self.masks:
            self.masks[height, width] = self.bias + self.regions(height, width)
        return self.masks[height, width]

    def regions(self, height, width):
        if not self.shift:
            return torch.zeros(())
        size = self.window
        rows = torch.arange(height) >= height - self.shift
        columns = torch.arange(width) >= width - self.shift
        ids = rows[:, None] * 2 + columns[None].int()
        ids = ids.reshape(height // size, size, width // size, size)
        ids = ids.transpose(1, 2).reshape(-1, 1, size**2)
        return torch.where(ids.mT == ids, 0.0, -1e9)[:, None]


class PatchSplitting(nn.Sequential):
    """LayerNorm, Linear, depth to space by 2."""

    def __init__(self, channels, out, norm):
        norms = [nn.LayerNorm(channels)] if norm else []
        super().__init__(*norms, nn.Linear(channels, 4 * out))

    def forward(self, x):
        x = super().forward(x)
        _, height, width, channels = x.shape
        x = x.reshape(height, width, 2, 2, channels // 4).transpose(1, 2)
        return x.reshape(1, 2 * height, 2 * width, channels // 4)


class SwinSynthesis(nn.Sequential):
    """Of Zhu, Yang & Cohen 2022 with the widths of `rdc_e`."""

    def __init__(self):
        layers = []
        widths, depths = (320, 192, 96, 96, 3), (2, 4, 2, 2)
        for i, depth in enumerate(depths):
            layers += [SwinBlock(widths[i], j % 2 == 1) for j in range(depth)]
            layers.append(PatchSplitting(widths[i], widths[i + 1], norm=i < 3))
        super().__init__(*layers)

    def forward(self, y_hat):
        return super().forward(y_hat.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def swint_decoder():
    return Hyperprior(hyper_synthesis((192, 192, 640)), SwinSynthesis(), 192, 320)


FAMILIES = {
    "conv": conv_decoder,
    "elic": elic_decoder,
    "swint": swint_decoder,
    "charm": Charm,
}
