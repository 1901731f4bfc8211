"""Hardware of a training: the device that it runs on, and the precision of its matrix products."""

import math

import torch
from torch import nn

from model_compression.errors import TrainingError
from model_compression.settings import FineTuning

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
MANY_CHANNELS = 32  # of the widest convolution
MANY_PLACES = 28 * 28  # positions of a convolution in one row of the input
LARGE_LINEAR = 384  # the smaller side


def torch_device(settings: FineTuning) -> torch.device:
    """Return the device to train on.

    Raises TrainingError when a GPU is asked for and there is none.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "expected a GPU for `device: cuda`, got none that torch can use; set `device: auto` to train on the "
            "processor where there is none"
        )
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(settings.device)


def autocasts(settings: FineTuning, model: nn.Module, device: torch.device, row: torch.Size) -> bool:
    """Tell whether matrix products run in bfloat16, whose range needs no loss scaling."""
    if settings.precision == "auto":
        return bfloat16_pays(model, device, row)
    return settings.precision == "bfloat16"


def bfloat16_pays(model: nn.Module, device: torch.device, row: torch.Size) -> bool:
    """Tell whether training in bfloat16 is faster than in float32, for rows of this shape.

    This is decided by hardware and layers and not by the clock, so that it repeats. On a GPU it pays where bfloat16 is
    native. On a processor it pays where it is native and the work is large: on one core with avx512_bf16 a step was 2.1
    and 2.6 times as fast for two convolutional nets of 64 channels on 28x28, and 1.1 to 1.5 times for linears of 384
    and an encoder, but slower for linears of 128 and below and for 32 channels on 8x8.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and native_on_the_processor() and any(_is_large(part, row) for part in model.modules())


def native_on_the_processor() -> bool:
    """Tell whether the processor multiplies bfloat16 itself."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _is_large(layer: nn.Module, row: torch.Size) -> bool:
    if isinstance(layer, nn.Linear):
        return min(layer.in_features, layer.out_features) >= LARGE_LINEAR
    many = math.prod(row[1:]) >= MANY_PLACES
    return many and isinstance(layer, CONVOLUTIONS) and max(layer.in_channels, layer.out_channels) >= MANY_CHANNELS
