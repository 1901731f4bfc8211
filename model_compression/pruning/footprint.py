"""What a model weighs."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from model_compression.pruning.vocabulary import TrimmedTable

FLOAT = 4
PER_CHANNEL = 4 + 4 + 4  # the weights' scale, the int32 bias and its scale


def parameters(model: nn.Module) -> int:
    """Count the parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def int8_weight_bytes(model: nn.Module) -> int:
    """Bytes of the weights of an INT8 file with per-channel scales, batch norms folded; the graph's own not counted."""
    return sum(_int8_bytes(module) for module in model.modules())


def _int8_bytes(module: nn.Module) -> int:
    if isinstance(module, _BatchNorm):
        return 0
    if isinstance(module, (_ConvNd, nn.Linear)) and not isinstance(module, _ConvTransposeNd):
        return module.weight.numel() + PER_CHANNEL * module.weight.shape[0]
    if isinstance(module, TrimmedTable):
        return module.rows.numel() * module.rows.element_size()
    if isinstance(module, nn.Embedding):
        return module.weight.numel()
    return FLOAT * sum(parameter.numel() for parameter in module.parameters(recurse=False))
