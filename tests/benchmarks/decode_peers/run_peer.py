"""PyTorch's side: the same networks; see protocol.py.

    run_peer.py FAMILY contiguous|channels_last fresh|kept

`kept`: freed memory is kept for the next arrays, as our side does.
"""

import ctypes
import sys

import torch
from networks import FAMILIES
from protocol import HEIGHT_PX, THREADS, WIDTH_PX, serve
from torch.utils.flop_counter import FlopCounterMode

family, layout, memory = sys.argv[1:]
if memory == "kept":  # rdc/system/host_memory.py
    for parameter, value in ((-8, 1), (-4, 0), (-1, -1)):
        ctypes.CDLL(None).mallopt(parameter, value)
torch.set_num_threads(THREADS)
torch.manual_seed(0)
memory_format = {
    "contiguous": torch.contiguous_format,
    "channels_last": torch.channels_last,
}[layout]
decoder = FAMILIES[family]().eval().to(memory_format=memory_format)
y_shape = (1, decoder.latent_channels, HEIGHT_PX // 16, WIDTH_PX // 16)
z_shape = (1, decoder.hyperlatent_channels, HEIGHT_PX // 64, WIDTH_PX // 64)


def given(shape):
    return torch.randn(shape).round().contiguous(memory_format=memory_format)


symbols, z_hat = given(y_shape), given(z_shape)


def decode():
    """u8[H,W,3] of the symbols."""
    with torch.inference_mode():
        x_hat = decoder(z_hat, symbols)[0].permute(1, 2, 0)
        return (x_hat * 255).round().clamp(0, 255).to(torch.uint8).numpy()


# The kernel that PyTorch takes for attention is not counted by its own counter.
with (
    torch.no_grad(),
    torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
    FlopCounterMode(display=False) as counter,
):
    decoder(z_hat, symbols)
assert decode().shape == (HEIGHT_PX, WIDTH_PX, 3)
serve(counter.get_total_flops() // 2, decode)
