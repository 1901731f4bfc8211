"""Students: every family learns, exports, quantizes and answers as in torch; the widest that fits."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_compression.errors import StudentError
from model_compression.onnx_files import export_onnx
from model_compression.pruning import parameters
from model_compression.quantization import quantize_after_training
from model_compression.students import FAMILIES, Architecture, Interface, build_student, widest
from model_compression.training import Arrays, FineTuning, are_probabilities, fine_tune, predict, tensors

ROWS, CLASSES, VOCABULARY = 240, 3, 50
SETTINGS = FineTuning(12, 32, 1e-2, 0, temperature=2, distillation_weight=0, seed=0)


def images() -> tuple[Arrays, np.ndarray]:
    """The class is the third of the image that is bright."""
    labels = np.arange(ROWS) % CLASSES
    rows = np.random.default_rng(0).normal(0, 0.3, (ROWS, 1, 12, 12)).astype(np.float32)
    for row, label in zip(rows, labels, strict=True):
        row[0, 4 * label : 4 * label + 4] += 1
    return (rows,), labels


def signals(channels: bool) -> tuple[Arrays, np.ndarray]:
    """The class is the frequency; or the value that stands out."""
    labels = np.arange(ROWS) % CLASSES
    generator = np.random.default_rng(1)
    if not channels:
        return ((generator.normal(size=(ROWS, 9)) + 3 * np.eye(CLASSES, 9)[labels]).astype(np.float32),), labels
    time = np.arange(32)[None, None] + generator.integers(0, 8, (ROWS, 1, 1))
    waves = np.sin(time * (labels[:, None, None] + 1) / 3)
    return (np.repeat(waves, 2, axis=1).astype(np.float32),), labels


def texts() -> tuple[Arrays, np.ndarray]:
    """The class is which of three words is in the text."""
    labels = np.arange(ROWS) % CLASSES
    generator = np.random.default_rng(2)
    tokens = generator.integers(10, VOCABULARY, (ROWS, 12))
    tokens[np.arange(ROWS), generator.integers(0, 6, ROWS)] = labels + 1
    tokens[:, 9:] = 0
    return (tokens, (tokens != 0).astype(np.int64)), labels


CASES = {
    "depthwise_cnn": ("depthwise_cnn", images()),
    "signal_net on signals": ("signal_net", signals(True)),
    "signal_net on rows of values": ("signal_net", signals(False)),
    "text_net with a mask": ("text_net", texts()),
    "text_net without one": ("text_net", (texts()[0][:1], texts()[1])),
}


def interface(inputs: Arrays) -> Interface:
    integers = tuple(rows.dtype.kind == "i" for rows in inputs)
    return Interface(tuple(rows.shape[1:] for rows in inputs), integers, CLASSES, VOCABULARY)


@pytest.mark.parametrize("case", CASES)
def test_a_student_learns_and_ships_as_int8(case: str, tmp_path: Path) -> None:
    family, (inputs, labels) = CASES[case]
    model = build_student(Architecture(family, 16, 1), interface(inputs), seed=0)
    fine_tune(model, inputs, labels, None, F.cross_entropy, SETTINGS)
    expected = predict(model, inputs)
    assert (expected.argmax(1) == labels).mean() > 0.9

    names = [f"in{index}" for index in range(len(inputs))]
    export_onnx(model, tensors(tuple(rows[:2] for rows in inputs)), names, tmp_path / "float.onnx")
    np.testing.assert_allclose(run(tmp_path / "float.onnx", names, inputs), expected, atol=1e-3)
    quantize_after_training(
        tmp_path / "float.onnx", inputs, tmp_path / "int8.onnx", method="minmax", reduce_range=False
    )
    assert (run(tmp_path / "int8.onnx", names, inputs).argmax(1) == labels).mean() > 0.85


def run(path: Path, names: list[str], inputs: Arrays) -> np.ndarray:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, dict(zip(names, inputs, strict=True)))[0])


@pytest.mark.parametrize("case", CASES)
def test_width_and_depth_make_it_larger(case: str) -> None:
    family, (inputs, _) = CASES[case]
    sizes = [
        parameters(build_student(Architecture(family, width, depth), interface(inputs), seed=0))
        for width, depth in ((8, 1), (16, 1), (16, 2))
    ]
    assert sizes == sorted(set(sizes))


def test_the_same_seed_gives_the_same_weights_and_the_global_state_stays() -> None:
    before = torch.get_rng_state()
    first, same, other = (
        build_student(Architecture("depthwise_cnn", 8, 1), interface(images()[0]), seed) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), before)
    weights = [next(model.parameters()) for model in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_padding_says_nothing() -> None:
    (tokens, mask), _ = texts()
    model = build_student(Architecture("text_net", 16, 2), interface((tokens, mask)), seed=0)
    longer = np.pad(tokens, ((0, 0), (0, 20)))
    np.testing.assert_allclose(
        predict(model, (longer, (longer != 0).astype(np.int64))), predict(model, (tokens, mask)), atol=1e-5
    )


class TestInterface:
    def test_it_is_read_off_the_parent(self) -> None:
        class Parent(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.words, self.positions = nn.Embedding(VOCABULARY, 4), nn.Embedding(12, 4)
                self.head = nn.Linear(4, CLASSES)

            def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
                summed = self.words(tokens) + self.positions(torch.arange(12))
                return self.head((summed * mask.unsqueeze(2)).mean(1))

        found = Interface.of(Parent(), tensors(tuple(rows[:2] for rows in texts()[0])))
        assert found == Interface(((12,), (12,)), (True, True), CLASSES, VOCABULARY)

    def test_a_parent_that_is_no_classifier(self) -> None:
        with pytest.raises(StudentError, match=r"class scores .* got shape \[2, 3, 8\]; remove `distil`"):
            Interface.of(nn.Linear(4, 8), (torch.zeros(2, 3, 4),))

    def test_a_parent_of_probabilities_has_students_of_probabilities(self) -> None:
        parent = nn.Sequential(nn.Flatten(), nn.Linear(144, CLASSES), nn.Softmax(dim=1))
        example = (torch.randn(4, 1, 12, 12),)
        found = Interface.of(parent, example)
        assert found.probabilities
        outputs = build_student(Architecture("depthwise_cnn", 8, 1), found, seed=0)(*example).detach()
        assert are_probabilities(outputs.numpy())


class TestRefusals:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_inputs_of_another_kind(self, family: str) -> None:
        other = Interface(((3, 4, 5, 6), (2,)), (False, False), CLASSES, None)
        with pytest.raises(StudentError, match=f"student family {family} .* choose another `family`"):
            build_student(Architecture(family, 8, 1), other, seed=0)

    def test_tokens_without_a_known_vocabulary(self) -> None:
        with pytest.raises(StudentError, match="text_net"):
            build_student(Architecture("text_net", 8, 1), Interface(((12,),), (True,), CLASSES, None), seed=0)

    def test_a_users_factory_that_fails(self) -> None:
        def factory(_interface: Interface, _width: int, _depth: int) -> nn.Module:
            raise KeyError("width")

        with pytest.raises(StudentError, match=r"own of width 8 .* to be built, got KeyError: 'width'"):
            build_student(Architecture("own", 8, 1), interface(images()[0]), 0, factory)

    def test_a_users_network_with_other_outputs(self) -> None:
        def factory(_interface: Interface, _width: int, _depth: int) -> nn.Module:
            return nn.Sequential(nn.Flatten(), nn.Linear(144, CLASSES + 1))

        with pytest.raises(StudentError, match=r"3 class scores a row, got shape \[2, 4\]"):
            build_student(Architecture("own", 8, 1), interface(images()[0]), 0, factory)

    def test_a_users_network_with_other_inputs(self) -> None:
        def factory(_interface: Interface, _width: int, _depth: int) -> nn.Module:
            return nn.Linear(7, CLASSES)

        with pytest.raises(StudentError, match=r"to take inputs of shapes \(\(1, 12, 12\),\), got RuntimeError"):
            build_student(Architecture("own", 8, 1), interface(images()[0]), 0, factory)

    def test_a_users_network_that_fits_is_taken(self) -> None:
        def factory(_interface: Interface, width: int, _depth: int) -> nn.Module:
            return nn.Sequential(nn.Flatten(), nn.Linear(144, width), nn.ReLU(), nn.Linear(width, CLASSES))

        assert parameters(build_student(Architecture("own", 8, 1), interface(images()[0]), 0, factory)) == 1187

    def test_a_users_network_of_scores_for_a_parent_of_probabilities(self) -> None:
        def factory(_interface: Interface, _width: int, _depth: int) -> nn.Module:
            return nn.Sequential(nn.Flatten(), nn.Linear(144, CLASSES))

        wanted = replace(interface(images()[0]), probabilities=True)
        with pytest.raises(
            StudentError, match=r"to give probabilities, as the parent does, .* end the network in a softm"
        ):
            build_student(Architecture("own", 8, 1), wanted, 0, factory)


WIDTHS = range(8, 136, 8)


@pytest.mark.parametrize("limit", [8, 9, 40, 63, 64, 128, 10_000])
def test_it_finds_the_widest(limit: int) -> None:
    assert widest(WIDTHS, lambda width: width <= limit) == max(width for width in WIDTHS if width <= limit)


@pytest.mark.parametrize("widths", [WIDTHS, []])
def test_none_fits(widths: Sequence[int]) -> None:
    assert widest(widths, lambda _: False) is None


def test_few_are_tried() -> None:
    tried: list[int] = []

    def fits(width: int) -> bool:
        tried.append(width)
        return width < 100

    assert widest(WIDTHS, fits) == 96
    assert len(tried) <= 5


def test_what_is_returned_was_measured_to_fit_also_where_measurements_are_noisy() -> None:
    seen: dict[int, bool] = {}

    def fits(width: int) -> bool:
        return seen.setdefault(width, width in (64, 128))

    found = widest(WIDTHS, fits)
    assert found == 64
    assert seen[64]
    assert False in seen.values()
