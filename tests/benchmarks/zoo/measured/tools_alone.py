"""The peers on one architecture: torch-pruning alone on the registered model, `quantize_static` alone on the file."""

import copy
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_pruning
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quant_pre_process, quantize_static
from torch import Tensor, nn

from edge_runtime.model_files import model_bytes
from model_compression.pruning import parameters
from model_compression.quantization import answers
from tests.benchmarks.zoo.data import Arrays, Data
from tests.benchmarks.zoo.measured.files import FLOAT, STATIC
from tests.benchmarks.zoo.measured.journal import Journal
from tests.benchmarks.zoo.measured.positions import TOLERANCE, differs, places_left

PEER_S = 20
ASKERS = ("q", "k", "v", "query", "key", "value", "q_proj", "k_proj", "v_proj", "q_lin", "k_lin", "v_lin")


def torch_pruning_alone(model: nn.Module, example: tuple[Tensor, ...], ratio: float, journal: Journal) -> None:
    """Prune by torch-pruning, told the output layers and the heads as its guide asks for, and check what is left."""
    with journal.step("torch-pruning") as found:
        with torch.no_grad():
            expected = model.eval()(*example)
        torch.manual_seed(0)
        with _at_most(PEER_S):
            pruned, left = places_left(model, lambda copied: _pruned(copied, example, ratio, int(expected.shape[1])))
        with torch.no_grad():
            got = pruned.eval()(*example)
        found["share"] = 1 - parameters(pruned) / parameters(model)
        if got.shape != expected.shape:
            raise ValueError(f"the output has the shape {list(got.shape)} after {list(expected.shape)}")
        if found["share"] <= 0:
            raise ValueError("no parameter went")
        found["difference"] = differs(model, pruned, left, example)
        if not found["difference"] <= TOLERANCE:
            raise ValueError(f"removal answers otherwise than silencing, by {found['difference']:.3g}")


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """End the block with an error after some seconds: torch-pruning's walk over some graphs has no end."""

    def end(*_: object) -> None:
        raise TimeoutError(f"it was not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _pruned(model: nn.Module, example: tuple[Tensor, ...], ratio: float, outputs: int) -> nn.Module:
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    heads = _heads(model)
    pruner = torch_pruning.pruner.BasePruner(
        model,
        example if len(example) > 1 else example[0],
        importance=torch_pruning.importance.RandomImportance(),
        pruning_ratio=ratio,
        ignored_layers=_answering(model, outputs),
        num_heads=dict(heads),
    )
    pruner.step()
    for module in model.modules():
        _told(module, pruner.num_heads)
    return model


def _answering(model: nn.Module, outputs: int) -> list[nn.Module]:
    """Return the layers that may make the outputs: the last one, and all of the outputs' width."""
    layers = [
        module
        for module in model.modules()
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d))
    ]
    widths = {layer: layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels for layer in layers}
    return [layer for layer in layers if widths[layer] == outputs or layer is layers[-1]]


def _heads(model: nn.Module) -> dict[nn.Module, int]:
    found: dict[nn.Module, int] = {}
    for module in model.modules():
        count = getattr(module, "num_heads", getattr(module, "num_attention_heads", getattr(module, "n_heads", None)))
        for name in ("qkv", *ASKERS):
            layer = getattr(module, name, None)
            if isinstance(count, int) and isinstance(layer, nn.Linear):
                found[layer] = count
    return found


def _told(module: nn.Module, heads: dict[nn.Module, int]) -> None:
    """Tell an attention the size of its heads after pruning, as torch-pruning's guide does."""
    for name in ("qkv", *ASKERS):
        layer = getattr(module, name, None)
        if isinstance(layer, nn.Linear) and layer in heads:
            size = layer.out_features // (3 if name == "qkv" else 1) // heads[layer]
            for attribute in ("head_dim", "attention_head_size", "key_dim"):
                if isinstance(getattr(module, attribute, None), int):
                    setattr(module, attribute, size)
            for attribute in ("all_head_size", "attn_dim"):
                if isinstance(getattr(module, attribute, None), int):
                    setattr(module, attribute, size * heads[layer])


class _Rows(CalibrationDataReader):
    """Calibration rows, 32 at a time."""

    def __init__(self, names: list[str], rows: Arrays) -> None:
        parts = zip(*(np.array_split(array, max(1, len(array) // 32)) for array in rows), strict=True)
        self.batches = iter([dict(zip(names, part, strict=True)) for part in parts])

    def get_next(self) -> Any:
        return next(self.batches, None)


def quantize_static_alone(folder: Path, names: tuple[str, ...], data: Data, journal: Journal) -> None:
    """Quantize the float file by ONNX Runtime alone, with the settings that its guide names for x86."""
    with journal.step("quantize_static") as found:
        prepared = folder / "prepared.onnx"
        quant_pre_process(folder / FLOAT, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared, folder / STATIC, _Rows(list(names), data.calibration.inputs), quant_format=QuantFormat.QDQ,
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        prepared.unlink()
        found["bytes"] = model_bytes(folder / STATIC)
        found["score"] = data.score(answers(folder / STATIC, data.validation.inputs))


def untouched(model: nn.Module) -> nn.Module:
    """Return a copy for a peer, which changes models in place."""
    return copy.deepcopy(model)
