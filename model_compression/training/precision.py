"""Where bfloat16 pays: hardware that has it, and work that is large enough to gain more than the casts cost."""

import math

import torch
from torch import nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
MANY_CHANNELS = 32  # of the widest convolution
MANY_PLACES = 28 * 28  # that a convolution goes over, in a row of the input
LARGE_LINEAR = 384  # the smaller side


def bfloat16_pays(model: nn.Module, device: torch.device, row: torch.Size) -> bool:
    """Whether training in bfloat16 is faster than in float32, for rows of this shape.

    Decided by hardware and layers and not by the clock, so that it repeats. On a GPU where it is native. On a processor
    where it is native and the work is large: on one core with avx512_bf16 a step was 2.1 and 2.6 times as fast for two
    convolutional nets of 64 channels on 28x28, 1.1 to 1.5 times for linears of 384 and an encoder, but slower for
    linears of 128 and below and for 32 channels on 8x8.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and native_on_the_processor() and any(_is_large(part, row) for part in model.modules())


def native_on_the_processor() -> bool:
    """Whether the processor multiplies bfloat16 itself."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _is_large(layer: nn.Module, row: torch.Size) -> bool:
    if isinstance(layer, nn.Linear):
        return min(layer.in_features, layer.out_features) >= LARGE_LINEAR
    many = math.prod(row[1:]) >= MANY_PLACES
    return many and isinstance(layer, CONVOLUTIONS) and max(layer.in_channels, layer.out_channels) >= MANY_CHANNELS
