"""Programs: read from `pt2` files whole, damaged or hostile; their inputs; weights loaded by name."""

import contextlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from model_compression.errors import IntakeError
from model_compression.intake import InputSpec, check_equal, input_specs, load_into, load_program, rebuild
from model_compression.intake.program import check_dynamic_batch
from tests.model_compression.architectures import ARCHITECTURES, Encoder, Mlp, export, exported
from tests.model_compression.intake.archives import (
    CONSTANTS,
    MODEL,
    SAMPLE_INPUTS,
    WEIGHTS,
    edited,
    pickled,
    rewrite,
    saved,
)


class _Stepping(nn.Module):
    """Small, but with a symbolic size in its graph and two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.register_buffer("shift", torch.ones(4), persistent=False)

    def forward(self, x: torch.Tensor, name: torch.Tensor) -> torch.Tensor:
        return (self.layer(x) + self.shift).reshape(x.shape[0] * 2, 2).sum(1) + name.sum()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archives") / "model.pt2"
    torch.export.save(export(_Stepping(), torch.randn(3, 3), torch.randn(3, 1)), path)
    return path


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "code-was-run"


def _unsafe_load(path: Path) -> None:
    """Load a file as torch.export.load does, which may fail after the harm is done."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(Exception):
            torch.export.load(path).module()


@pytest.mark.parametrize("training", [False, True])
def test_what_mlflow_saves_is_loaded_and_rebuilt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, training: bool
) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("DO_NOT_TRACK", "true")
    import mlflow.pytorch

    kind = ARCHITECTURES["cnn"]
    model = kind.build(training=training)
    rows = kind.rows.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pytorch.save_model(model, tmp_path / "saved", input_example=rows, pip_requirements=["torch"])
    program = load_program(tmp_path / "saved" / "data" / "model.pt2")
    rebuilt = rebuild(program)
    assert check_equal(program, rebuilt, (kind.rows,)) == 0.0
    assert rebuilt.state_dict().keys() == model.state_dict().keys()
    assert input_specs(program) == [("x", torch.float32, (None, 1, 8, 8))]
    with torch.no_grad():
        np.testing.assert_allclose(rebuilt(kind.rows).numpy(), model.eval()(kind.rows).numpy(), atol=1e-6)


def test_mlflow_with_one_row_as_example_is_refused_with_the_remedy(tmp_path: Path) -> None:
    program = export(Mlp().eval(), torch.randn(1, 20))
    torch.export.save(program, tmp_path / "one.pt2")
    with pytest.raises(IntakeError, match="register with an input_example of 2 or more rows"):
        rebuild(load_program(tmp_path / "one.pt2"))


@pytest.mark.parametrize("name", ["mlp", "text"])
def test_loaded_program_is_the_saved_one(tmp_path: Path, name: str) -> None:
    _, program = exported(name)
    torch.export.save(program, tmp_path / "model.pt2")
    loaded = load_program(tmp_path / "model.pt2")
    assert loaded.state_dict.keys() == program.state_dict.keys()
    assert all(torch.equal(loaded.state_dict[key], value) for key, value in program.state_dict.items())
    assert check_equal(program, rebuild(loaded), (ARCHITECTURES[name].rows,)) == 0.0


def test_names_that_are_fields_of_the_format_are_no_reason_to_refuse(archive: Path) -> None:
    program = load_program(archive)
    assert [name for name, _, _ in input_specs(program)] == ["x", "name"]
    rows = (torch.randn(5, 3), torch.randn(5, 1))
    assert check_equal(program, rebuild(program), rows) == 0.0
    assert load_into(program, _Stepping()) is not None


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match=r"gone\.pt2: expected a `pt2` file, found none"):
        load_program(tmp_path / "gone.pt2")


def test_text_file_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_text("weights")
    with pytest.raises(IntakeError, match="got a file that is no archive"):
        load_program(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_truncated_archive_is_called_that(archive: Path, tmp_path: Path, share: float) -> None:
    whole = archive.read_bytes()
    path = tmp_path / "model.pt2"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(IntakeError, match="got a truncated archive or one of another kind; download it again"):
        load_program(path)


def test_flipped_bytes_inside_are_an_intake_error(archive: Path, tmp_path: Path) -> None:
    broken = bytearray(archive.read_bytes())
    start = broken.index(b'{"graph_module"')
    broken[start : start + 9] = b"[[[[[[[[["
    path = tmp_path / "model.pt2"
    path.write_bytes(broken)
    with pytest.raises(IntakeError, match="register the model again"):
        load_program(path)


def test_pickled_module_is_refused_without_running_it(tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(saved(marker))
    with pytest.raises(IntakeError, match="register the model again"):
        load_program(path)
    assert not marker.exists()


def test_pickled_sample_inputs_are_never_read(archive: Path, tmp_path: Path, marker: Path) -> None:
    path = rewrite(archive, tmp_path / "bad.pt2", {SAMPLE_INPUTS: saved(marker)})
    _unsafe_load(path)
    assert marker.exists(), "the archive is harmless: the test shows nothing"
    marker.unlink()
    program = load_program(path)
    assert not marker.exists()
    assert program.example_inputs is None


def _pickled_weight(text: dict[str, Any]) -> None:
    entry = text["config"]["layer.bias"]
    entry["use_pickle"], entry["path_name"] = True, "weight_evil"


def _opaque_constant(text: dict[str, Any]) -> None:
    text["config"]["thing"] = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}


@pytest.mark.parametrize("case", ["weight", "constant", "legacy weights"])
def test_pickles_in_the_place_of_tensors_are_refused(archive: Path, tmp_path: Path, marker: Path, case: str) -> None:
    records = {
        "weight": lambda: {
            WEIGHTS: edited(archive, WEIGHTS, _pickled_weight),
            "data/weights/weight_evil": saved(marker),
        },
        "constant": lambda: {
            CONSTANTS: edited(archive, CONSTANTS, _opaque_constant),
            "data/constants/opaque_obj_0": pickled(marker),
        },
        "legacy weights": lambda: {"data/weights/model.pt": saved(marker)},
    }[case]()
    path = rewrite(archive, tmp_path / "bad.pt2", records)
    _unsafe_load(path)
    assert marker.exists(), "the archive is harmless: the test shows nothing"
    marker.unlink()
    with pytest.raises(IntakeError, match="pickle"):
        load_program(path)
    assert not marker.exists()


def _touch(marker: Path) -> str:
    return f"__import__('pathlib').Path({os.fspath(marker)!r}).touch()"


def _size_that_is_code(text: dict[str, Any], marker: Path) -> None:
    sizes = text["graph_module"]["graph"]["tensor_values"]["x"]["sizes"]
    sizes[0]["as_expr"]["expr_str"] = _touch(marker)


def _name_that_is_code(text: dict[str, Any], marker: Path) -> None:
    evil = f"name={_touch(marker)}"
    graph, signature = text["graph_module"]["graph"], text["graph_module"]["signature"]
    graph["inputs"][-1]["as_tensor"]["name"] = evil
    graph["tensor_values"][evil] = graph["tensor_values"].pop("name")
    signature["input_specs"][-1]["user_input"]["arg"]["as_tensor"]["name"] = evil
    for node in graph["nodes"]:
        for given in node["inputs"]:
            if given["arg"] == {"as_tensor": {"name": "name"}}:
                given["arg"]["as_tensor"]["name"] = evil


@pytest.mark.parametrize("edit", [_size_that_is_code, _name_that_is_code], ids=["symbolic size", "name"])
def test_code_in_the_graph_is_refused(
    archive: Path, tmp_path: Path, marker: Path, edit: Callable[[dict[str, Any], Path], None]
) -> None:
    model = edited(archive, MODEL, lambda text: edit(text, marker))
    path = rewrite(archive, tmp_path / "bad.pt2", {MODEL: model})
    _unsafe_load(path)
    assert marker.exists(), "the archive is harmless: the test shows nothing"
    marker.unlink()
    with pytest.raises(IntakeError, match="tampered with"):
        load_program(path)
    assert not marker.exists()


def test_guards_are_dropped(archive: Path, tmp_path: Path, marker: Path) -> None:
    model = edited(archive, MODEL, lambda text: text.update(guards_code=[_touch(marker)]))
    program = load_program(rewrite(archive, tmp_path / "bad.pt2", {MODEL: model}))
    program.module()(torch.randn(3, 3), torch.randn(3, 1))
    assert not marker.exists()


class _Two(nn.Module):
    def forward(self, input: Tensor, mask: Tensor) -> tuple[Tensor]:
        return (input * mask.unsqueeze(1),)


def test_inputs_are_listed_in_their_order_under_their_names() -> None:
    program = export(_Two(), torch.randn(4, 3), torch.ones(4, dtype=torch.bool))
    assert input_specs(program) == [
        InputSpec("input", torch.float32, (None, 3)),
        InputSpec("mask", torch.bool, (None,)),
    ]
    rebuilt = rebuild(program)
    assert torch.equal(rebuilt(torch.ones(2, 3), torch.tensor([True, False])), torch.tensor([[1.0] * 3, [0.0] * 3]))


class _RowByRow(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([row * 2 for row in x])


def test_a_batch_that_the_model_fixes_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(_RowByRow(), (torch.randn(4, 6),), dynamic_shapes=[{0: Dim.AUTO}]), path)
    program = load_program(path)
    with pytest.raises(IntakeError, match=r"a fixed batch size of 4 .*if it was, forward\(\) makes the size a number"):
        check_dynamic_batch(program)


def test_static_batch_of_several_rows_is_refused_as_well() -> None:
    program = torch.export.export(Mlp().eval(), (torch.randn(4, 20),))
    with pytest.raises(IntakeError, match=r"a fixed batch size of 4 in input 'x' of shape \[4, 20\].*-1 as its first"):
        check_dynamic_batch(program)


def test_a_model_of_float64_is_refused_before_anything_is_made_of_it() -> None:
    program = export(nn.Sequential(nn.Linear(3, 4), nn.ReLU()).double().eval(), torch.randn(3, 3).double())
    with pytest.raises(IntakeError, match=r"expected weights of float32, got float64 in 2 of 2 .*`model\.float\(\)`"):
        rebuild(program)


class _Scaled(nn.Module):
    def forward(self, x: Tensor, factor: float) -> Tensor:
        return x * factor


class _Nested(nn.Module):
    def forward(self, both: list[Tensor]) -> Tensor:
        return both[0] + both[1]


def test_inputs_that_are_no_tensors_are_refused() -> None:
    program = torch.export.export(_Scaled(), (torch.randn(2, 3), 2.0), dynamic_shapes=[{0: Dim.AUTO}, None])
    with pytest.raises(IntakeError, match="expected tensors as the model's inputs, got factor of another type"):
        input_specs(program)


def test_nested_inputs_are_refused() -> None:
    rows = [torch.randn(2, 3), torch.randn(2, 3)]
    program = torch.export.export(_Nested(), (rows,), dynamic_shapes=[[{0: Dim.AUTO}, {0: Dim.AUTO}]])
    with pytest.raises(IntakeError, match="got nested containers; let forward\\(\\) take tensors only"):
        rebuild(program)


@pytest.mark.parametrize(("name", "model"), [("mlp", Mlp), ("encoder", Encoder)])
def test_module_of_the_same_architecture_equals_the_program(name: str, model: type[nn.Module]) -> None:
    _, program = exported(name)
    module = model()
    assert load_into(program, module) is module
    assert check_equal(program, module, (ARCHITECTURES[name].rows,)) < 1e-6


def test_names_that_differ_are_listed() -> None:
    module = Mlp()
    module.extra = nn.Linear(2, 2)
    del module.norm
    with pytest.raises(IntakeError) as caught:
        load_into(exported("mlp")[1], module)
    for words in ("program lacks extra.bias, extra.weight", "module lacks norm.bias, norm.weight", "build_model()"):
        assert words in str(caught.value)


def test_shapes_that_differ_are_listed_and_nothing_is_loaded() -> None:
    module = Mlp()
    module.first = nn.Linear(20, 8)
    before = module.out.weight.clone()
    with pytest.raises(IntakeError, match=r"other shapes first.bias \[32\] in the program, \[8\] in the module"):
        load_into(exported("mlp")[1], module)
    assert torch.equal(module.out.weight, before)


def test_long_lists_are_cut() -> None:
    with pytest.raises(IntakeError, match=r"the module lacks .* and 7 more"):
        load_into(exported("mlp")[1], nn.Module())
