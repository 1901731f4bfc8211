"""A joined model becomes a folder of a backbone and heads by every rung, and the folder answers as the rung should."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from torch import nn

from deployments.rungs import (
    Dynamic,
    FloatModel,
    Half,
    Mixed,
    PostTraining,
    QuantizationAware,
    Rung,
    WeightOnly,
)
from deployments.techniques import FineTune
from edge_runtime.backbone import answers_of_rows, load_model
from edge_runtime.model_files import MODEL, graphs_of, heads_of, model_bytes, model_files
from edge_runtime.settings import SessionSettings
from model_compression.errors import ExportError, FamilyError, QuantizationError
from model_compression.families import answers_apart
from model_compression.intake import rebuild
from model_compression.onnx_files import graph_tensors, optimized_operators
from model_compression.quantization import train_quantized
from model_compression.settings import FineTuning
from model_compression.training import predict
from tasks.compression import layers_one_at_a_time
from tasks.compression.family_files import export_family, family_by_rung, portable_model
from tests.model_compression.architectures import export
from tests.model_compression.toys import EXAMPLE, digits
from tests.tasks.joined import TASKS, accuracies, joined_of, loss, members, trained

TRAIN, TEST = digits("train"), digits("test")
CALIBRATION = (TRAIN.images[:100],)
PTQ = PostTraining(kind="ptq", calibration="minmax")
MIXED = Mixed(kind="mixed", calibration="minmax", at_most=2, tolerance=0.0)
QAT = QuantizationAware(kind="qat", fine_tune=FineTune.model_validate({
    "epochs": 2, "batch_size": 32, "learning_rate": 1e-3, "weight_decay": 0, "temperature": 4,
    "distillation_weight": 0, "seed": 0,
}))  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The float files of the trained family."""
    return export_family(trained(), TASKS, EXAMPLE, ("image",), tmp_path_factory.mktemp("exported"))


def answers(graph: Path, rows: np.ndarray = TEST.images) -> np.ndarray:
    heads = heads_of(graph)
    return answers_of_rows(load_model(graph, SessionSettings(threads=1), heads).predict({"image": rows}), heads)


def train(path: Path, settings: FineTuning, *, reduce_range: bool, in_float: Sequence[str]) -> object:
    return train_quantized(
        answers_apart(trained(), TASKS), EXAMPLE, CALIBRATION, (TRAIN.images,), TRAIN.labels, None, loss, settings,
        reduce_range=reduce_range, names=("image",), path=path, in_float=in_float, outputs=TASKS,
    )  # fmt: skip


def model_of(exported: Path, score: Callable[[np.ndarray], float] | None = None) -> FloatModel:
    return FloatModel(exported, CALIBRATION, (TEST.images,), score or total, False, (), train)


def total(outputs: np.ndarray) -> float:
    """Return the mean accuracy of both tasks; it must get the outputs of all heads."""
    assert outputs.shape == (len(TEST.labels), 12)
    return sum(accuracies(outputs, TEST).values()) / 2


def made(rung: Rung, exported: Path, folder: Path) -> tuple[Path, str]:
    folder.mkdir()
    note = family_by_rung(rung, model_of(exported), folder)
    return folder / MODEL, note


def operators(graph: Path, task: str | None = None) -> dict[str, int]:
    """Count the operators of the backbone alone, or of one head."""
    paths = dict(zip((None, *TASKS), graphs_of(graph), strict=True))
    alone = graph.parent / "alone" / (task or "backbone")
    alone.mkdir(parents=True)
    for path in (paths[task], *(each for each in graph.parent.iterdir() if len(each.name) == 64)):
        (alone / path.name).write_bytes(path.read_bytes())
    return optimized_operators(alone / paths[task].name)


def test_the_float_files_answer_as_torch(exported: Path, tmp_path: Path) -> None:
    expected = predict(trained(), (TEST.images,))
    np.testing.assert_allclose(answers(exported), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(answers(portable_model(exported, tmp_path)), expected, rtol=1e-4, atol=1e-4)
    assert min(accuracies(expected, TEST).values()) > 0.8
    assert [spec.name for graph in graphs_of(exported) for spec in graph_tensors(graph)[1]] == ["features", *TASKS]


def test_integers_run_in_the_backbone_and_in_all_heads(exported: Path, tmp_path: Path) -> None:
    graph, note = made(PTQ, exported, tmp_path / "ptq")
    whole = accuracies(answers(exported), TEST)
    assert all(found > whole[task] - 0.03 for task, found in accuracies(answers(graph), TEST).items())
    assert {"QLinearConv", "QGemm"} <= set(operators(graph))
    assert all("QGemm" in operators(graph, task) for task in TASKS)
    assert note == "" and model_bytes(graph) < 0.5 * model_bytes(exported)


def test_a_head_that_would_be_no_smaller_stays_in_float(exported: Path, tmp_path: Path) -> None:
    class Padding(PostTraining):
        def make(self, model: FloatModel, path: Path) -> object:
            if model.file.name != "head.odd.onnx":
                return super().make(model, path)
            graph = onnx.load(model.file)
            graph.doc_string = "x" * 100
            return onnx.save(graph, path)

    graph, note = made(Padding(kind="ptq", calibration="minmax"), exported, tmp_path / "made")
    why = r"The head odd stays in float, because it has ([\d,]+) bytes so and ([\d,]+) by PTQ minmax\."
    found = re.fullmatch(why, note)
    assert found is not None and 100 <= number(found[2]) - number(found[1]) < 110
    assert number(found[1]) == model_bytes(heads_of(graph)[1].path, ())


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_heads_are_calibrated_on_what_the_edge_backbone_gives(exported: Path, tmp_path: Path) -> None:
    seen: list[tuple[np.ndarray, ...]] = []

    class Noting(PostTraining):
        def make(self, model: FloatModel, path: Path) -> object:
            seen.append(model.calibration)
            return super().make(model, path)

    graph, _ = made(Noting(kind="ptq", calibration="minmax"), exported, tmp_path / "ptq")
    features = load_model(graph, SessionSettings(threads=1), ()).predict({"image": CALIBRATION[0]})
    assert seen[0] is CALIBRATION
    for calibration in seen[1:]:
        np.testing.assert_array_equal(calibration[0], features[0])
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("rung", "share"), [(Half(kind="fp16"), 0.6), (WeightOnly(kind="int4", block_size=32), 0.5)], ids=["fp16", "int4"]
)
def test_smaller_numbers_are_in_all_parts(rung: Rung, share: float, exported: Path, tmp_path: Path) -> None:
    graph, note = made(rung, exported, tmp_path / "made")
    whole = accuracies(answers(exported), TEST)
    assert all(found > whole[task] - 0.05 for task, found in accuracies(answers(graph), TEST).items())
    assert model_bytes(graph) < share * model_bytes(exported)
    assert "The head digit" not in note


def test_dynamic_integers_are_for_backbones_that_take_them(exported: Path, tmp_path: Path) -> None:
    """As with one graph: what the rung cannot do is said, and the ladder goes on."""
    rung, folder = Dynamic(kind="dynamic"), tmp_path / "made"
    try:
        graph, _ = made(rung, exported, folder)
    except QuantizationError as error:
        assert "dynamic" in str(error)
        return
    whole = accuracies(answers(exported), TEST)
    assert all(found > whole[task] - 0.05 for task, found in accuracies(answers(graph), TEST).items())


def test_the_most_sensitive_layers_are_found_by_the_score_of_all_tasks(exported: Path, tmp_path: Path) -> None:
    graph, _ = made(MIXED, exported, tmp_path / "mixed")
    assert total(answers(graph)) >= total(answers(exported)) - 0.02


def test_what_was_trained_quantized_is_split_as_it_is(exported: Path, tmp_path: Path) -> None:
    graph, note = made(QAT, exported, tmp_path / "qat")
    assert note == ""
    assert min(accuracies(answers(graph), TEST).values()) > 0.8
    assert "QLinearConv" in operators(graph) and all("QGemm" in operators(graph, task) for task in TASKS)
    assert [spec.name for each in graphs_of(graph) for spec in graph_tensors(each)[1]] == ["features", *TASKS]


def test_a_head_that_does_not_take_a_rung_stays_in_float(exported: Path, tmp_path: Path) -> None:
    class Refusing(PostTraining):
        def make(self, model: FloatModel, path: Path) -> object:
            if model.file.name == "head.digit.onnx":
                raise QuantizationError("expected something else")
            return super().make(model, path)

    graph, note = made(Refusing(kind="ptq", calibration="minmax"), exported, tmp_path / "made")
    assert "The head digit stays in float, because it does not take PTQ minmax: expected something else." in note
    assert "QGemm" not in operators(graph, "digit") and "QGemm" in operators(graph)


def test_a_backbone_that_does_not_take_a_rung_refuses_it(exported: Path, tmp_path: Path) -> None:
    class Refusing(PostTraining):
        def make(self, model: FloatModel, path: Path) -> object:
            raise QuantizationError(f"expected {model.file.name} to be another one than {path.name}")

    with pytest.raises(QuantizationError, match=r"expected model\.onnx to be another one"):
        made(Refusing(kind="ptq", calibration="minmax"), exported, tmp_path / "made")


def test_a_task_may_be_called_features(tmp_path: Path) -> None:
    models = dict(zip(("features", "odd"), members().values(), strict=True))
    joined = joined_of(models)
    graph = export_family(joined, ("features", "odd"), EXAMPLE, ("image",), tmp_path)
    np.testing.assert_allclose(answers(graph), predict(joined, (TEST.images,)), rtol=1e-4, atol=1e-4)
    assert set(model_files(graph)) >= {MODEL, "head.features.onnx", "head.odd.onnx"}


def test_a_task_is_not_called_as_an_input(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="other names than the model's inputs, image, got `image`"):
        export_family(trained(), ("digit", "image"), EXAMPLE, ("image",), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rung", [PTQ, QAT], ids=["ptq", "qat"])
def test_layers_of_the_backbone_stay_in_float_by_their_names(rung: Rung, exported: Path, tmp_path: Path) -> None:
    _, layers = layers_one_at_a_time(exported, CALIBRATION, (TEST.images[:5],), method="minmax", reduce_range=False)
    model = replace(model_of(exported), in_float=(layers[0].layer,))
    family_by_rung(rung, model, tmp_path)
    counts = operators(tmp_path / MODEL)
    assert "QLinearConv" not in counts and "QGemm" in counts


def test_a_model_that_is_not_joined_is_no_family(tmp_path: Path) -> None:
    with pytest.raises(FamilyError, match="puts the answers of heads side by side"):
        export_family(joined_member(), TASKS, EXAMPLE, ("image",), tmp_path)


def joined_member() -> nn.Module:
    return rebuild(export(members()["odd"], EXAMPLE[0]))


def test_single_layers_are_weighed_by_the_answers_of_all_heads(exported: Path) -> None:
    whole, layers = layers_one_at_a_time(exported, CALIBRATION, (TEST.images,), method="minmax", reduce_range=False)
    np.testing.assert_allclose(whole, answers(exported), rtol=1e-4, atol=1e-4)
    names = [layer.layer for layer in layers]
    assert [name.partition(".")[0] for name in names] == ["backbone"] * 2 + ["heads"] * 3
    assert all(layer.outputs.shape == whole.shape for layer in layers)
    digit = next(layer for layer in layers if layer.layer.startswith("heads.digit"))
    np.testing.assert_array_equal(digit.outputs[:, 10:], whole[:, 10:])
    assert np.abs(digit.outputs[:, :10] - whole[:, :10]).max() > 0
