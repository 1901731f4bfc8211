"""Rebuilt models: equal to their programs, trainable, prunable, and under their original names."""

import warnings
from typing import Any

import pytest
import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional as F

from model_compression.errors import IntakeError, RebuildError
from model_compression.intake import check_equal, rebuild
from tests.model_compression.architectures import ARCHITECTURES, Mlp, export, exported

LEAVES = (nn.Conv1d, nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm, nn.Embedding)
ALL = pytest.mark.parametrize("name", ARCHITECTURES)
CONVOLUTIONAL = pytest.mark.parametrize("name", [name for name, kind in ARCHITECTURES.items() if kind.prunable])


def _tensor(output: Tensor | dict[str, Tensor]) -> Tensor:
    return output["logits"] if isinstance(output, dict) else output


@ALL
def test_rebuilt_model_equals_its_program_and_the_original(name: str) -> None:
    model, program = exported(name)
    rows = ARCHITECTURES[name].rows
    rebuilt = rebuild(program)
    assert check_equal(program, rebuilt, (rows,)) == 0.0
    with torch.no_grad():
        torch.testing.assert_close(rebuilt(rows), _tensor(model(rows)), rtol=1e-6, atol=1e-6)
        assert rebuilt(rows[:1]).shape == (1, rebuilt(rows).shape[1])


@CONVOLUTIONAL
def test_names_are_those_of_the_original(name: str) -> None:
    model, program = exported(name)
    rebuilt = rebuild(program)
    assert rebuilt.state_dict().keys() == model.state_dict().keys()
    kinds = {path: type(part) for path, part in model.named_modules() if isinstance(part, LEAVES)}
    assert {path: type(rebuilt.get_submodule(path)) for path in kinds} == kinds
    original_leaves = {path for path, part in model.named_modules() if not list(part.children())}
    assert original_leaves <= {path for path, _ in rebuilt.named_modules()}


@ALL
def test_every_parameter_learns_and_the_program_stays_as_it_is(name: str) -> None:
    _, program = exported(name)
    before = {key: value.clone() for key, value in program.state_dict.items()}
    rebuilt = rebuild(program).train()
    optimizer = torch.optim.SGD(rebuilt.parameters(), lr=0.1)
    output = rebuilt(ARCHITECTURES[name].rows)
    F.cross_entropy(output, torch.arange(len(output)) % output.shape[1]).backward()
    assert all(parameter.grad is not None for parameter in rebuilt.parameters())
    optimizer.step()
    assert any(not torch.equal(value, before[key]) for key, value in rebuilt.state_dict().items() if key in before)
    assert all(torch.equal(value, before[key]) for key, value in program.state_dict.items())


@pytest.mark.parametrize("training", [False, True])
def test_training_mode_comes_back_however_the_program_was_exported(training: bool) -> None:
    _, program = exported("cnn", training=training)
    rows = ARCHITECTURES["cnn"].rows
    rebuilt = rebuild(program)
    assert not any(part.training for part in rebuilt.modules())
    assert check_equal(program, rebuilt, (rows,)) == 0.0
    mean, count = (rebuilt.get_buffer(f"features.1.{name}") for name in ("running_mean", "num_batches_tracked"))
    mean, count = mean.clone(), count.clone()
    assert torch.equal(rebuilt(rows), rebuilt(rows))
    rebuilt.train()
    torch.manual_seed(0)
    assert not torch.equal(rebuilt(rows), rebuilt(rows)), "dropout is off"
    assert not torch.equal(rebuilt.get_buffer("features.1.running_mean"), mean)
    assert rebuilt.get_buffer("features.1.num_batches_tracked").item() == count.item() + 2
    assert rebuilt.get_submodule("dropout").p == 0.5
    assert rebuilt.get_submodule("features.7").p == 0.1


def test_attention_drops_weights_again_only_while_training() -> None:
    _, program = exported("encoder", training=True)
    rows = ARCHITECTURES["encoder"].rows
    rebuilt = rebuild(program)
    assert check_equal(program, rebuilt, (rows,)) == 0.0
    attention = [part for part in rebuilt.modules() if type(part).__name__ == "ScaledDotProductAttention"]
    assert [part.dropout for part in attention] == [0.1]
    for part in rebuilt.modules():
        part.training = part in attention
    assert not torch.equal(rebuilt(rows), rebuilt(rows))


@CONVOLUTIONAL
def test_pruned_model_runs_and_exports_again(name: str) -> None:
    _, program = exported(name)
    kind = ARCHITECTURES[name]
    rebuilt = rebuild(program)
    expected = rebuilt(kind.rows).shape
    hidden = [part for part in rebuilt.modules() if isinstance(part, (nn.Conv1d, nn.Conv2d, nn.Linear))]
    widths = [part.weight.shape[0] for part in hidden if part is not rebuilt.get_submodule(kind.head)]
    rebuilt(kind.rows).square().sum().backward()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tp.pruner.BasePruner(
            rebuilt,
            (kind.rows,),
            importance=tp.importance.GroupTaylorImportance(),
            pruning_ratio=0.5,
            ignored_layers=[rebuilt.get_submodule(kind.head)],
        ).step()
    pruned = [part.weight.shape[0] for part in hidden if part is not rebuilt.get_submodule(kind.head)]
    assert pruned == [width // 2 for width in widths]
    assert rebuilt(kind.rows).shape == expected
    again = export(rebuilt, kind.rows)
    assert check_equal(again, rebuild(again), (kind.rows,)) == 0.0
    assert rebuild(again).state_dict().keys() == rebuilt.state_dict().keys()


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", ["cnn", "resnet", "mlp", "text"])
def test_decomposed_program_is_rebuilt_as_well(name: str) -> None:
    _, program = exported(name)
    rebuilt = rebuild(program.run_decompositions())
    assert rebuilt.state_dict().keys() == program.state_dict.keys()
    assert check_equal(program, rebuilt, (ARCHITECTURES[name].rows,)) < 1e-6
    assert not any("addmm" in str(node.target) or "permute" in str(node.target) for node in rebuilt.graph.nodes)


def test_rebuilding_leaves_the_random_numbers_alone() -> None:
    _, program = exported("cnn")
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    rebuild(program)
    assert torch.equal(torch.rand(4), expected)


class _Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.step(torch.relu(self.step(x)))


def test_layer_called_twice_stays_one_layer() -> None:
    rows = torch.randn(3, 4)
    program = export(_Twice(), rows)
    rebuilt = rebuild(program)
    assert [node.target for node in rebuilt.graph.nodes if node.op == "call_module"].count("step") == 2
    assert len(list(rebuilt.parameters())) == 2
    assert check_equal(program, rebuilt, (rows,)) == 0.0


class _Bare(nn.Module):
    """Parameters and buffers that no layer owns, one of them where the rebuilt layer has an attribute."""

    shift: Tensor
    steps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.inner: Any = nn.Module()
        self.inner.weight = nn.Parameter(torch.randn(4, 4))
        self.inner.bias = nn.Parameter(torch.randn(4))
        self.scale = nn.Parameter(torch.ones(4))
        self.register_buffer("shift", torch.randn(4))
        self.register_buffer("steps", torch.randn(4), persistent=False)
        self.register_buffer("unused", torch.randn(4))
        self.constant = torch.randn(4)

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.inner.weight) * self.scale + self.inner.bias
        return y.sub_(self.shift) * self.steps + self.constant


def test_tensors_without_a_layer_are_kept_and_learn() -> None:
    rows = torch.randn(3, 4)
    program = export(_Bare(), rows)
    rebuilt = rebuild(program)
    assert check_equal(program, rebuilt, (rows,)) == 0.0
    assert set(rebuilt.state_dict()) == {"inner.weight", "inner_bias", "scale", "shift"}
    assert {name for name, _ in rebuilt.named_buffers()} == {"shift", "steps", "constant"}
    rebuilt(rows).sum().backward()
    assert {name for name, value in rebuilt.named_parameters() if value.grad is not None} == {
        "inner.weight",
        "inner_bias",
        "scale",
    }


class _Overwriting(nn.Module):
    """Writes in place: once to memory that nobody else sees, once to memory that is read afterwards."""

    def __init__(self, seen: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.act = nn.ReLU(inplace=True)
        self.seen = seen

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        view = y.view(-1, 2, 2)
        if not self.seen:
            self.act(y)
            return y * 2
        self.act(view)
        return y * 2


@pytest.mark.parametrize("seen", [False, True])
def test_writing_in_place_gives_the_same_numbers(seen: bool) -> None:
    rows = torch.randn(5, 4)
    program = export(_Overwriting(seen), rows)
    rebuilt = rebuild(program)
    assert check_equal(program, rebuilt, (rows,)) == 0.0
    assert (rebuilt(rows) >= 0).all()
    assert isinstance(dict(rebuilt.named_modules()).get("act"), nn.ReLU) is not seen


class _OverwritingPart(nn.Module):
    """Writes into a part of what an operator in place gave."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x).relu_()
        y[:, :2] = 7
        return y * 2


def test_a_write_into_a_part_of_what_was_written_in_place_stays() -> None:
    rows = torch.randn(5, 4)
    program = export(_OverwritingPart(), rows)
    rebuilt = rebuild(program)
    assert (rebuilt(rows)[:, :2] == 14).all()
    assert check_equal(program, rebuilt, (rows,)) == 0.0


class _Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (self.layer(x),))


class _Counting(nn.Module):
    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return self.layer(x) * self.calls


@pytest.mark.parametrize(
    ("model", "rows", "said"),
    [
        (_Branching(), torch.randn(2, 4), ["node 'cond'", "control flow"]),
        (_Counting(), torch.randn(2, 4), ["aten.add_.Tensor", "it changes 'calls'"]),
    ],
    ids=["control flow", "mutated buffer"],
)
def test_what_cannot_be_rebuilt_is_named_with_the_remedy(model: nn.Module, rows: Tensor, said: list[str]) -> None:
    program = export(model, rows)
    with pytest.raises(RebuildError) as caught:
        rebuild(program)
    for words in [*said, "build_model()", "strictly by name"]:
        assert words in str(caught.value)


def test_fixed_batch_size_is_refused() -> None:
    program = torch.export.export(Mlp().eval(), (torch.randn(1, 20),), dynamic_shapes=[{0: Dim.AUTO}])
    with pytest.raises(IntakeError, match=r"fixed batch size of 1 in input 'x'.*input_example of 2 or more rows"):
        rebuild(program)
