"""ONNX files as people export them: brought into the form that every rung expects, or refused."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from model_compression.errors import IntakeError
from model_compression.intake import graph_inputs, read_graph
from model_compression.onnx_files import save_onnx
from model_compression.quantization import quantize_after_training, quantize_dynamically
from tests.model_compression.graphs import CLASSES, FEATURES, PRODUCT, WEIGHTS, graph

ROWS = np.random.default_rng(1).normal(size=(5, FEATURES)).astype(np.float32)


def read(model: ModelProto, folder: Path) -> ModelProto:
    onnx.save_model(model, folder / "model.onnx")
    return read_graph(folder / "model.onnx")


def answers(model: ModelProto, rows: np.ndarray = ROWS) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {"x": rows})[0]
    return found


def constant_weights() -> ModelProto:
    """Weights as the output of a node, as older exporters write them."""
    constant = helper.make_node("Constant", [], ["v"], value=numpy_helper.from_array(WEIGHTS, "value"))
    return graph([constant, helper.make_node("MatMul", ["x", "v"], ["y"])])


def weights_as_inputs() -> ModelProto:
    """Initializers listed as inputs too, as the oldest files have them."""
    model = graph(opset=9, ir_version=3)
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [FEATURES, CLASSES]))
    return model


def function_of_its_own() -> ModelProto:
    """The product in a function of the model's, as torch's exporter writes modules."""
    opset = helper.make_opsetid("", 20)
    product = helper.make_node("MatMul", ["a", "b"], ["c"])
    function = helper.make_function("own", "Product", ["a", "b"], ["c"], [product], [opset])
    return graph([helper.make_node("Product", ["x", "w"], ["y"], domain="own")], domain="own", functions=[function])


@pytest.mark.parametrize("make", [graph, constant_weights, weights_as_inputs, function_of_its_own])
def test_every_way_to_write_a_product_comes_to_one_form(make: object, tmp_path: Path) -> None:
    model = read(make(), tmp_path)  # type: ignore[operator]
    np.testing.assert_allclose(answers(model), ROWS @ WEIGHTS, rtol=1e-5)
    assert [value.name for value in model.graph.input] == ["x"]
    assert [node.op_type for node in model.graph.node] == ["MatMul"]
    assert model.graph.node[0].name and model.graph.node[0].input[1] in {w.name for w in model.graph.initializer}
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("opset", [9, 11, 12])
def test_an_old_opset_is_raised_to_one_whose_int8_files_load(opset: int, tmp_path: Path) -> None:
    source = save_onnx(read(graph(opset=opset, ir_version=4), tmp_path), tmp_path / "source.onnx")
    quantized = quantize_after_training(source, (ROWS,), tmp_path / "q.onnx", method="minmax", reduce_range=False)
    np.testing.assert_allclose(answers(onnx.load(quantized)), ROWS @ WEIGHTS, atol=0.1)


def test_an_old_opset_that_does_not_convert_is_refused(tmp_path: Path) -> None:
    product = helper.make_node("MatMul", ["x", "w"], ["p"])
    model = graph([product, helper.make_node("Add", ["p", "p"], ["y"], broadcast=1, axis=0)], opset=6, ir_version=4)
    with pytest.raises(
        IntakeError, match=r"opset 13 or newer, got opset 6, which does not convert: .*; export it again"
    ):
        read(model, tmp_path)


def test_shapes_that_an_exporter_noted_wrong_do_not_stop_the_quantizers(tmp_path: Path) -> None:
    model = graph([helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Relu", ["p"], ["y"])])
    model.graph.value_info.append(helper.make_tensor_value_info("p", TensorProto.FLOAT, ["rows", CLASSES + 7]))
    source = save_onnx(read(model, tmp_path), tmp_path / "source.onnx")
    quantized = quantize_dynamically(source, tmp_path / "q.onnx", reduce_range=False)
    np.testing.assert_allclose(answers(onnx.load(quantized)), np.maximum(ROWS @ WEIGHTS, 0), atol=0.1)


def test_names_that_nodes_have_are_kept_and_new_ones_are_free(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"], name="node_0"),
        helper.make_node("Neg", ["b"], ["y"]),
    ]
    names = [node.name for node in read(graph(nodes), tmp_path).graph.node]
    assert names[1] == "node_0" and len(set(names)) == 3


def test_weights_beside_the_file_are_taken_in(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save_model(graph(), path, save_as_external_data=True, location="weights", size_threshold=0)
    assert (tmp_path / "weights").is_file()
    model = read_graph(path)
    (tmp_path / "weights").unlink()
    np.testing.assert_allclose(answers(model), ROWS @ WEIGHTS, rtol=1e-5)


def test_weights_that_are_lost_are_said(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save_model(graph(), path, save_as_external_data=True, location="weights", size_threshold=0)
    (tmp_path / "weights").unlink()
    with pytest.raises(IntakeError, match=r"expected a valid ONNX model with all of its weights, got .*; register it"):
        read_graph(path)


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname"])
def test_weights_from_elsewhere_on_the_disk_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "secret").write_bytes(WEIGHTS.tobytes())
    model = graph()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    with pytest.raises(IntakeError, match="with all of its weights"):
        read(model, tmp_path / "model")


def test_a_batch_size_of_one_is_opened(tmp_path: Path) -> None:
    model = read(graph(batch=1), tmp_path)
    assert graph_inputs(model) == [("x", "float32", (None, FEATURES))]
    np.testing.assert_allclose(answers(model), ROWS @ WEIGHTS, rtol=1e-5)


def half() -> ModelProto:
    return graph(kind=TensorProto.FLOAT16, weights=WEIGHTS.astype(np.float16))


def double() -> ModelProto:
    return graph(kind=TensorProto.DOUBLE, weights=WEIGHTS.astype(np.float64))


def half_inside() -> ModelProto:
    """Half precision between casts, as converters leave it."""
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["h", "w"], ["p"]),
        helper.make_node("Cast", ["p"], ["y"], to=TensorProto.FLOAT),
    ]
    return graph(nodes, weights=WEIGHTS.astype(np.float16))


def quantized() -> ModelProto:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("MatMul", ["d", "w"], ["y"]),
    ]
    return graph(nodes)


def no_batch() -> ModelProto:
    model = graph()
    del model.graph.input[0].type.tensor_type.shape.dim[:]
    return model


def no_shape() -> ModelProto:
    model = graph()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    return model


def sequence() -> ModelProto:
    first = helper.make_node("Constant", [], ["first"], value=numpy_helper.from_array(np.array(0), "first"))
    model = graph([first, helper.make_node("SequenceAt", ["x", "first"], ["row"]),
                   helper.make_node("MatMul", ["row", "w"], ["y"])])  # fmt: skip
    model.graph.input[0].CopyFrom(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, ["rows", FEATURES]))
    return model


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (half, r"expected a float32 model, got float16 in `x`; register the float32 model"),
        (double, r"expected a float32 model, got double in `x`"),
        (half_inside, r"expected a float32 model, got weights of float16"),
        (quantized, r"got one that is quantized already \(DynamicQuantizeLinear\); register the float32 model that"),
        (lambda: graph(batch=4), r"got a fixed batch size of 4 in input `x` of shape \[4, 6\]; export it again with a"),
        (no_batch, r"got no batch dimension in input `x` of shape \[\]; export it again"),
        (no_shape, r"expected a valid ONNX model .* got ValidationError: Field 'shape'"),
        (sequence, r"expected tensors as the model's inputs, got `x` of another type; export it with tensors only"),
        (
            lambda: graph([PRODUCT, helper.make_node("Neg", ["y"], ["z"])], outputs=("y", "z")),
            r"expected a model with one output, got 2: y, z; name the one that is scored as `output` in the workload",
        ),
        (lambda: graph([helper.make_node("Nothing", ["x", "w"], ["y"])]), r"expected a valid ONNX model .* got Valid"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_cannot_be_quantized_is_refused_with_the_remedy(make: object, says: str, tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match=says):
        read(make(), tmp_path)  # type: ignore[operator]


def two_outputs() -> ModelProto:
    """`y`, and `z` with a weight of its own, that a branch adds to `y`."""
    own = numpy_helper.from_array(np.ones(CLASSES, np.float32), "own")
    inner = helper.make_graph(
        [helper.make_node("Add", ["y", "own"], ["sum"])], "then", [], [helper.make_tensor_value_info("sum", 1, None)]
    )
    branch = helper.make_node("If", ["always"], ["z"], then_branch=inner, else_branch=inner)
    model = graph([PRODUCT, branch], outputs=("y", "z"))
    model.graph.initializer.extend([own, numpy_helper.from_array(np.array(True), "always")])
    return model


@pytest.mark.parametrize(("name", "weights"), [("y", {"w"}), ("z", {"w", "own", "always"})])
def test_of_several_outputs_one_stays_with_what_it_needs(name: str, weights: set[str], tmp_path: Path) -> None:
    onnx.save_model(two_outputs(), tmp_path / "model.onnx")
    model = read_graph(tmp_path / "model.onnx", name)
    assert [value.name for value in model.graph.output] == [name]
    assert {weight.name for weight in model.graph.initializer} == weights
    np.testing.assert_allclose(answers(model), ROWS @ WEIGHTS + (name == "z"), rtol=1e-5)
    with pytest.raises(IntakeError, match="expected an output of y, z, got `x`; correct `output` in the workload"):
        read_graph(tmp_path / "model.onnx", "x")


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(IntakeError, match=r"model\.onnx: expected a valid ONNX model"):
        read_graph(tmp_path / "model.onnx")


@pytest.mark.parametrize("location", ["../outside.bin", "{folder}/outside.bin", "link.bin", "sub/../../outside.bin"])
def test_weights_outside_of_the_models_folder_are_not_read(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "outside.bin").write_bytes(WEIGHTS.tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    model = graph()
    [weights] = model.graph.initializer
    weights.ClearField("raw_data")
    weights.ClearField("float_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location.format(folder=tmp_path))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(IntakeError, match=r"model\.onnx: expected a valid ONNX model with all of its weights, got"):
        read_graph(folder / "model.onnx")
