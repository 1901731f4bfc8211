"""Where bfloat16 pays: hardware that has it, and work that is large enough to gain more than the casts cost."""

import torch
from torch import nn


def bfloat16_pays(model: nn.Module, device: torch.device, row: torch.Size) -> bool:
    """Whether training in bfloat16 is faster than in float32, for rows of this shape: on a GPU where it is native."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
