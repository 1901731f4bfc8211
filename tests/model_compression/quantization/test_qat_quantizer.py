"""Annotations, and the operators that ONNX Runtime makes of them on other models than the digit classifiers."""

import collections
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import Node
from torchao.quantization.pt2e.quantizer import SharedQuantizationSpec

from model_compression.intake import rebuild
from model_compression.quantization import answers, train_quantized
from model_compression.quantization.qat_quantizer import ACTIVATION, ANNOTATION, OnnxRuntimeQuantizer
from tests.model_compression.architectures import ARCHITECTURES, export, exported
from tests.model_compression.toys import SETTINGS, kernels


def annotated(model: nn.Module, *rows: Tensor) -> dict[str, Node]:
    """Operator -> its last node in a graph that the quantizer has annotated."""
    graph = export(model.eval(), *rows).module()
    OnnxRuntimeQuantizer(reduce_range=True).annotate(graph)
    return {str(node.target).split(".")[1]: node for node in graph.graph.nodes if node.op == "call_function"}


def output_of(node: Node) -> object:
    return node.meta[ANNOTATION].output_qspec if ANNOTATION in node.meta else None


def inputs_of(node: Node) -> list[str]:
    return sorted(str(source) for source in node.meta[ANNOTATION].input_qspec_map) if ANNOTATION in node.meta else []


IMAGES = torch.randn(2, 3, 8, 8)


def test_the_pair_goes_behind_the_activation() -> None:
    nodes = annotated(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU6(), nn.Conv2d(4, 2, 1)), IMAGES)
    assert output_of(nodes["relu6" if "relu6" in nodes else "hardtanh"]) == ACTIVATION


def test_an_activation_that_is_not_fused_gets_none() -> None:
    nodes = annotated(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Hardswish(), nn.Flatten(), nn.Linear(256, 2)), IMAGES)
    assert output_of(nodes["conv2d"]) == ACTIVATION
    assert output_of(nodes["hardswish"]) is None


def test_the_models_own_output_stays_in_float() -> None:
    nodes = annotated(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten()), IMAGES)
    assert output_of(nodes["conv2d"]) is output_of(nodes["relu"]) is None
    assert inputs_of(nodes["conv2d"])


def test_operators_that_move_values_share_the_range_of_their_input() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 2))
    nodes = annotated(model, IMAGES)
    pool = nodes["max_pool2d"]
    assert output_of(pool) == SharedQuantizationSpec((pool.args[0], pool))
    assert isinstance(output_of(nodes["flatten"]), SharedQuantizationSpec)


def test_a_move_of_what_is_not_quantized_is_left_alone() -> None:
    nodes = annotated(nn.Sequential(nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 2)), IMAGES)
    assert output_of(nodes["max_pool2d"]) is None


def test_the_pair_goes_before_a_dropout() -> None:
    nodes = annotated(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(), nn.Linear(4, 2)), torch.randn(2, 3))
    assert inputs_of(nodes["dropout"]) == ["relu"]
    assert "dropout" not in inputs_of(nodes["linear"])


def test_what_lies_between_layers_in_float_is_float_too() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AvgPool2d(2), nn.Conv2d(4, 4, 1), nn.AvgPool2d(2), nn.Conv2d(4, 2, 1))
    graph = export(model.eval(), IMAGES).module()
    OnnxRuntimeQuantizer(False, in_float=["0", "2"]).annotate(graph)
    pools = [node for node in graph.graph.nodes if "avg_pool" in str(node.target)]
    assert [output_of(node) for node in pools] == [None, ACTIVATION]
    convolutions = [node for node in graph.graph.nodes if "conv" in str(node.target)]
    assert [bool(inputs_of(node)) for node in convolutions] == [False, False, True]


class Adding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.ones(3))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.layer, self.last = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layer(x) + self.offset + 1)


def test_sums_with_a_constant_or_a_parameter_are_no_residual_adds() -> None:
    graph = export(Adding().eval(), torch.randn(2, 3)).module()
    OnnxRuntimeQuantizer(reduce_range=True).annotate(graph)
    adds = [node for node in graph.graph.nodes if "aten.add" in str(node.target)]
    assert len(adds) == 2
    assert not any(inputs_of(node) for node in adds)


@pytest.mark.parametrize(("reduce_range", "largest"), [(True, 64), (False, 127)])
def test_weights_are_symmetric_within_the_range(reduce_range: bool, largest: int) -> None:
    weight = OnnxRuntimeQuantizer(reduce_range).weight
    assert (weight.quant_min, weight.quant_max, weight.dtype) == (-largest, largest, torch.int8)


@pytest.mark.parametrize(
    ("name", "expected", "absent"),
    [
        ("mobilenet", {"QLinearConv": 4, "QGemm": 3, "QLinearAdd": 1, "QLinearMul": 1, "QLinearSigmoid": 1}, "Add"),
        ("signal", {"QLinearConv": 2, "QGemm": 1, "QLinearLeakyRelu": 1, "NhwcMaxPool": 1}, "MaxPool"),
    ],
)
def test_other_architectures_run_in_integers_too(
    name: str, expected: dict[str, int], absent: str, tmp_path: Path
) -> None:
    rows = ARCHITECTURES[name].rows
    path = train_quantized(
        rebuild(exported(name)[1]),
        (rows,),
        (rows.numpy(),),
        (rows.numpy(),),
        torch.zeros(len(rows), dtype=torch.long).numpy(),
        None,
        F.cross_entropy,
        SETTINGS,
        reduce_range=True,
        names=["x"],
        path=tmp_path / "int8.onnx",
    )
    counts: collections.Counter[str] = kernels(path)
    assert {kernel: counts[kernel] for kernel in expected} == expected
    assert not {"Conv", "FusedConv", "Gemm", "MatMul", absent} & set(counts)


class Counting(nn.Module):
    """Whole numbers and truth values inside: counted positions, ranges, comparisons, an arg-max, offsets of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.kinds = nn.Embedding(40, 8), nn.Embedding(16, 8), nn.Embedding(8, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        shown = (tokens != 0).long()
        places = torch.cumsum(shown, 1) * shown + 1
        order = torch.arange(tokens.shape[1]) + torch.zeros_like(tokens)
        both = torch.cat([places, order], 1)[:, : tokens.shape[1]] + order - order
        x = self.words(tokens + 10 * (tokens < 10)) + self.places(both)
        kind = x.argmax(-1) * shown
        x = x + self.kinds(kind)
        rows = torch.arange(tokens.shape[0])[:, None]
        return self.head(x[rows, order].mean(1) * (shown.sum(1, keepdim=True) > 0))


def test_whole_numbers_and_truth_values_stay_as_they_are(tmp_path: Path) -> None:
    tokens = torch.randint(0, 30, (64, 6), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = rebuild(export(Counting().eval(), tokens[:4]))
    path = train_quantized(
        model, (tokens[:4],), (tokens.numpy(),), (tokens.numpy(),), torch.zeros(64, dtype=torch.int64).numpy(), None,
        F.cross_entropy, replace(SETTINGS, epochs=1, learning_rate=1e-6), reduce_range=False, names=["tokens"],
        path=tmp_path / "q.onnx",
    )  # fmt: skip
    with torch.no_grad():
        expected = model(tokens).numpy()
    assert abs(answers(path, (tokens.numpy(),)) - expected).max() < 0.1 * abs(expected).max()
