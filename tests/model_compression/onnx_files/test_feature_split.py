"""A graph of several outputs is split at what they share: its parts answer as the whole, and no work is done twice."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import Tensor, nn

from model_compression.errors import ExportError
from model_compression.onnx_files import split_at_features, to_onnx

ROWS = np.random.default_rng(5).standard_normal((7, 1, 8, 8), dtype=np.float32)
NAMES = ("kinds", "turns")


class TwoHeads(nn.Module):
    """A convolution, and behind it a head that flattens and one that takes the mean of each channel."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.kinds, self.turns = nn.Conv2d(1, 4, 3), nn.Linear(144, 5), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.relu(self.conv(x))
        return self.kinds(features.flatten(1)), self.turns(features.mean((2, 3)))


class Reshaping(TwoHeads):
    """The same with heads whose shapes are computed from the number of rows, as exporters write it."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features, rows = torch.relu(self.conv(x)), x.shape[0]
        means = features.reshape(rows, 4, 36).mean(2)
        return self.kinds(features.reshape(rows, 144)), self.turns(means).reshape(rows, 3)


class Nested(TwoHeads):
    """A third head that reads an inner layer, so that two tensors leave the backbone."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        inner = self.conv(x)
        features = torch.relu(inner)
        return self.kinds(features.flatten(1)), self.turns(features.mean((2, 3))), inner.mean((1, 2, 3))


def exported(model: nn.Module, outputs: tuple[str, ...] = NAMES) -> ModelProto:
    return to_onnx(model.eval(), (torch.from_numpy(ROWS[:2]),), ("image",), outputs)


def answers(model: ModelProto, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    found = session.run(None, {each.name: given[each.name] for each in session.get_inputs()})
    return dict(zip(names, found, strict=True))


def parts(model: ModelProto, names: tuple[str, ...] = NAMES) -> tuple[ModelProto, dict[str, ModelProto]]:
    return split_at_features(model, {name: name for name in names})


def check_same(model: ModelProto, names: tuple[str, ...] = NAMES) -> tuple[ModelProto, dict[str, ModelProto]]:
    """Split a graph, and compare the answers of the parts with those of the whole."""
    before = model.SerializeToString()
    backbone, heads = parts(model, names)
    assert model.SerializeToString() == before
    whole, features = answers(model, {"image": ROWS}), answers(backbone, {"image": ROWS})
    for name in names:
        found = answers(heads[name], features)
        assert list(found) == [name]
        np.testing.assert_array_equal(found[name], whole[name])
    return backbone, heads


def operators(model: ModelProto) -> list[str]:
    return sorted(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("kind", [TwoHeads, Reshaping])
def test_parts_answer_as_the_whole_and_share_no_work(kind: type[nn.Module]) -> None:
    model = exported(kind())
    backbone, heads = check_same(model)
    assert operators(backbone) == ["Conv", "Relu"]
    assert [value.name for value in backbone.graph.output] == ["features"]
    assert not any("Conv" in operators(head) for head in heads.values())
    weights = [tensor.name for part in (backbone, *heads.values()) for tensor in part.graph.initializer if tensor.dims]
    assert len([name for name in weights if name.endswith(".weight")]) == 3
    for part in (backbone, *heads.values()):
        first = (*part.graph.input, *part.graph.output)
        assert {value.type.tensor_type.shape.dim[0].dim_param for value in first} == {"batch"}


def test_features_may_be_several_tensors() -> None:
    names = (*NAMES, "means")
    backbone, heads = check_same(exported(Nested(), names), names)
    assert [value.name for value in backbone.graph.output] == ["features_0", "features_1"]
    read = {name: [value.name for value in head.graph.input] for name, head in heads.items()}
    assert read["kinds"] == read["turns"] != read["means"]


class Rows(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self.rows = iter(ROWS)

    def get_next(self) -> dict[str, np.ndarray] | None:
        row = next(self.rows, None)
        return None if row is None else {"image": row[None]}


def quantized(model: ModelProto, folder: Path) -> ModelProto:
    onnx.save(model, folder / "float.onnx")
    quantize_static(
        folder / "float.onnx", folder / "int8.onnx", Rows(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return onnx.load(folder / "int8.onnx")


def test_a_quantized_graph_is_split_where_its_layers_stay_in_integers(tmp_path: Path) -> None:
    model = quantized(exported(TwoHeads()), tmp_path)
    backbone, heads = check_same(model)
    assert backbone.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert "Conv" in operators(backbone) and backbone.graph.node[-1].op_type == "DequantizeLinear"
    onnx.save(heads["kinds"], tmp_path / "head.onnx")
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    ort.InferenceSession(str(tmp_path / "head.onnx"), options, providers=["CPUExecutionProvider"])
    assert "QGemm" in operators(onnx.load(tmp_path / "optimized.onnx"))


def graph(nodes: list[onnx.NodeProto], outputs: list[str], weights: tuple[str, ...] = ("w",)) -> ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in ("image", *outputs)]
    constants = [numpy_helper.from_array(np.eye(4, dtype=np.float32), name) for name in weights]
    made = helper.make_graph(nodes, "made", values[:1], values[1:], constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_what_the_backbone_gives_may_be_the_answer_itself() -> None:
    nodes = [helper.make_node("MatMul", ["image", "w"], ["plain"]), helper.make_node("Relu", ["plain"], ["positive"])]
    rows = {"image": np.arange(8, dtype=np.float32).reshape(2, 4) - 3}
    backbone, heads = split_at_features(graph(nodes, ["plain", "positive"]), {"one": "plain", "other": "positive"})
    features = answers(backbone, rows)
    np.testing.assert_array_equal(answers(heads["one"], features)["plain"], rows["image"])
    np.testing.assert_array_equal(answers(heads["other"], features)["positive"], np.maximum(rows["image"], 0))
    assert operators(heads["one"]) == ["Identity"]


def test_equal_nodes_are_one_and_constants_are_copied_to_where_they_are_used() -> None:
    twice = [helper.make_node("MatMul", ["image", weight], [f"m{weight}"]) for weight in ("w", "v")]
    nodes = [*twice, *(helper.make_node("Add", [f"m{weight}", "w"], [f"y{weight}"]) for weight in ("w", "v"))]
    nodes[3] = helper.make_node("Mul", ["mv", "w"], ["yv"])
    model = graph(nodes, ["yw", "yv"], ("w", "v"))
    backbone, heads = split_at_features(model, {"sum": "yw", "product": "yv"})
    assert operators(backbone) == ["MatMul"]
    assert [operators(head) for head in heads.values()] == [["Add"], ["Mul"]]
    assert [len(part.graph.initializer) for part in (backbone, *heads.values())] == [1, 1, 1]


@pytest.mark.parametrize(
    ("heads", "says"),
    [
        ({"one": "y0"}, "expected a graph that gives the outputs of two heads or more, got 1"),
        ({"one": "y0", "two": "z"}, "got no output `z` among y0, y1, y2"),
        ({"one": "y0", "two": "y2"}, "expected heads that need a node in common, got none of one, two"),
        ({"one": "y0", "two": "y1"}, "got `two`, which reads the input `image`; let the backbone pass it on"),
    ],
)
def test_graphs_that_are_no_family_are_refused(heads: dict[str, str], says: str) -> None:
    nodes = [
        helper.make_node("Relu", ["image"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y0"]),
        helper.make_node("Add", ["f", "image"], ["y1"]), helper.make_node("Exp", ["image"], ["y2"]),
    ]  # fmt: skip
    with pytest.raises(ExportError, match=says):
        split_at_features(graph(nodes, ["y0", "y1", "y2"]), heads)
