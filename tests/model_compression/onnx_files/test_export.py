"""ONNX files: any batch, torch's answers, real shapes, and nothing that only a debugger reads."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from model_compression.errors import ExportError
from model_compression.intake import check_equal, rebuild
from model_compression.onnx_files import check_shrunk, export_onnx, strip
from model_compression.training import predict
from tests.model_compression.architectures import export
from tests.model_compression.toys import digits, float_file, pruned, run, trained

ROWS = digits("test").images


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return float_file("resnet", tmp_path / "deep")


@pytest.mark.parametrize("batch", [1, 5, 300])
def test_any_batch_gets_torchs_answers(file: Path, batch: int) -> None:
    np.testing.assert_allclose(run(file, ROWS[:batch]), predict(trained("resnet"), (ROWS[:batch],)), atol=1e-4)


def test_it_is_one_file_with_the_names_that_were_asked_for(file: Path) -> None:
    assert list(file.parent.iterdir()) == [file]
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == ["output"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_only_weights_and_graph_are_left(file: Path) -> None:
    model = onnx.load(file)
    graph = model.graph
    described = [*graph.node, *graph.input, *graph.output, *graph.initializer]
    assert not model.metadata_props
    assert not graph.value_info
    assert not any(part.metadata_props or part.doc_string for part in [graph, *described])
    weights = sum(numpy_helper.to_array(tensor).nbytes for tensor in graph.initializer)
    assert file.stat().st_size < weights + 200 * (len(graph.node) + len(graph.initializer))
    assert b"site-packages" not in file.read_bytes()


def test_strip_removes_what_is_there() -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"], doc_string="why")
    values = [onnx.helper.make_tensor_value_info(name, 1, [1], doc_string="what") for name in "xy"]
    graph = onnx.helper.make_graph([node], "g", values[:1], values[1:], doc_string="long", value_info=[values[0]])
    model = onnx.helper.make_model(graph, doc_string="story")
    onnx.helper.set_model_props(model, {"author": "someone"})
    node_in_graph = model.graph.node[0]
    node_in_graph.metadata_props.add(key="k", value="v")
    before = model.ByteSize()
    strip(model)
    assert model.ByteSize() < before
    assert not re.search(rb"why|what|long|story|author", model.SerializeToString())


def test_a_pruned_model_has_smaller_shapes_in_the_file_and_answers_alike(tmp_path: Path, file: Path) -> None:
    model, smaller = pruned("resnet"), float_file("resnet", tmp_path, smaller=True)
    assert smaller.stat().st_size < 0.6 * file.stat().st_size
    shapes = {tensor.name: list(tensor.dims) for tensor in onnx.load(smaller).graph.initializer}
    assert shapes["fc.weight"] == list(model.get_parameter("fc.weight").shape)
    assert shapes["fc.weight"][1] < 32
    np.testing.assert_allclose(run(smaller, ROWS), predict(model, (ROWS,)), atol=1e-4)


def test_several_inputs_share_the_batch(tmp_path: Path) -> None:
    class Joined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(5, 2)

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.last(torch.cat([a, b], 1))

    model = Joined()
    path = export_onnx(model, (torch.randn(3, 2), torch.randn(3, 3)), ["a", "b"], tmp_path / "joined.onnx")
    a, b = torch.randn(7, 2), torch.randn(7, 3)
    np.testing.assert_allclose(run(path, a.numpy(), b.numpy()), model(a, b).detach().numpy(), atol=1e-6)


class TestRefusals:
    def test_an_operator_that_onnx_lacks_is_named_with_the_remedy(self, tmp_path: Path) -> None:
        class Airy(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return torch.special.airy_ai(x)

        with pytest.raises(ExportError, match=r"special_airy_ai.*build_model\(\)") as caught:
            export_onnx(Airy(), (torch.rand(2, 3),), ["x"], tmp_path / "model.onnx")
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    def test_a_model_that_branches_on_its_data(self, tmp_path: Path) -> None:
        class Branching(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return x if x.sum() > 0 else -x

        with pytest.raises(ExportError, match="expected the model to export to ONNX opset"):
            export_onnx(Branching(), (torch.rand(2, 3),), ["x"], tmp_path / "model.onnx")


def test_a_file_that_still_holds_what_was_removed_is_refused(tmp_path: Path) -> None:
    whole = float_file("resnet", tmp_path)
    check_shrunk(trained("resnet"), whole)
    check_shrunk(pruned("resnet"), float_file("resnet", tmp_path, smaller=True))
    with pytest.raises(ExportError, match=r"resnet\.onnx to hold the [\d,]+ numbers of the model, got [\d,]+"):
        check_shrunk(pruned("resnet"), whole)


class _CalledTwice(nn.Module):
    """A layer that is called twice, and a table of positions that is computed from weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.positions = nn.Linear(96, 96), nn.Linear(2, 96)
        self.register_buffer("places", torch.rand(96, 2))

    def forward(self, rows: Tensor) -> Tensor:
        return self.layer(self.layer(rows).relu()) + self.positions(self.places).relu().mean(0)


def test_a_layer_that_is_called_twice_has_its_weights_once(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rows = torch.randn(4, 96)
    model = rebuild(export(_CalledTwice().eval(), rows))
    path = export_onnx(model, (rows,), ["rows"], tmp_path / "model.onnx")
    check_shrunk(model, path)
    weights = [tensor for tensor in onnx.load(path).graph.initializer if list(tensor.dims) == [96, 96]]
    assert len(weights) <= 2  # the layer's, and what the exporter folds of the table
    np.testing.assert_allclose(run(path, rows.numpy()), model(rows).detach().numpy(), atol=1e-5)


class _Relaid(nn.Module):
    """Attention whose answer is read in another layout, as T5 writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.bias = nn.Linear(16, 16), nn.Parameter(torch.randn(1, 4, 6, 6))

    def forward(self, rows: Tensor) -> Tensor:
        heads = self.layer(rows).view(*rows.shape[:2], 4, 4).transpose(1, 2)
        read = F.scaled_dot_product_attention(heads, heads, heads, self.bias.expand(len(rows), 4, 6, 6), scale=1.0)
        read = read.reshape(read.shape).transpose(1, 2).contiguous()
        return self.layer(read.view(*rows.shape[:2], -1))


def test_a_value_that_is_laid_out_anew_is_so_in_the_file(tmp_path: Path) -> None:
    rows = torch.randn(4, 6, 16)
    model = rebuild(export(_Relaid().eval(), rows))
    path = export_onnx(model, (rows,), ["rows"], tmp_path / "model.onnx")
    np.testing.assert_allclose(run(path, rows.numpy()), model(rows).detach().numpy(), atol=1e-5)


class _Windowed(nn.Module):
    """Attention within windows beside the rows, or without heads, with a mask for each."""

    def __init__(self, *beside: int) -> None:
        super().__init__()
        self.beside = beside
        self.layer, self.bias = nn.Linear(8, 8), nn.Parameter(torch.randn(*beside, 6, 6))

    def forward(self, rows: Tensor) -> Tensor:
        read = self.layer(rows).view(rows.shape[0], *self.beside, 6, 8)
        return F.scaled_dot_product_attention(read, read, read, self.bias.expand(*read.shape[:-1], 6))


@pytest.mark.parametrize("beside", [(), (2,), (3, 2), (2, 3, 2)], ids=str)
def test_attention_of_any_number_of_dimensions_is_exported(tmp_path: Path, beside: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    rows = torch.randn(4, *beside, 6, 8)
    program = export(_Windowed(*beside).eval(), rows)
    model = rebuild(program)
    assert check_equal(program, model, (rows,)) <= 1e-6
    path = export_onnx(model, (rows,), ["rows"], tmp_path / "model.onnx")
    np.testing.assert_allclose(run(path, rows[:3].numpy()), model(rows[:3]).detach().numpy(), atol=1e-5)
