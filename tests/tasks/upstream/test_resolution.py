"""From the registry to a module: what is taken, what is refused, and that nothing is unpickled behind anyone's back."""

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deployments.errors import ConfigurationError
from deployments.workload import Split, SplitName
from model_compression.errors import IntakeError, RebuildError
from tasks.errors import PreflightError, RegistryError
from tasks.job import Job
from tasks.registry import Upstream, register_upstream
from tasks.upstream import TorchParent, resolve
from tasks.workspace import Workspace
from tests.tasks.registry.versions import add_version, model_folder
from tests.tasks.tiny import FEATURES, Blobs, example, job, network


class Scaled(nn.Module):
    """It counts its calls in a buffer, which no rebuilt graph does."""

    calls: Tensor

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(FEATURES, outputs)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, rows: Tensor) -> Tensor:
        self.calls.add_(1)
        weight = self.layer.weight / self.layer.weight.norm()
        return F.linear(rows, weight, self.layer.bias) * (self.calls / self.calls)


class Building(Blobs):
    """Blobs with an architecture of its own; an exception is raised."""

    def __init__(self, module: object) -> None:
        self.module = module

    def build_model(self) -> nn.Module | None:
        if isinstance(self.module, Exception):
            raise self.module
        return self.module  # type: ignore[return-value]


class Doubles(Blobs):
    """Rows as float64."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        return replace(split, inputs=(split.inputs[0].astype(np.float64),))


class Pairs(Blobs):
    """Every row twice, as two inputs."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        return replace(split, inputs=(*split.inputs, *split.inputs))


class Narrow(Blobs):
    """Training rows that lack a feature."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        return replace(split, inputs=(split.inputs[0][:, :-1],)) if name == "train" else split


@pytest.fixture(scope="module")
def scaled(tracking_uri: str) -> str:
    """A registered model whose program cannot be rebuilt."""
    register_upstream(tracking_uri, "scaled", Scaled().eval(), example(), {})
    return "scaled"


def stages(job: Job) -> list[str]:
    return sorted(path.name for path in job.workspace.store.root.iterdir())


def torch_parent(job: Job) -> TorchParent:
    parent = resolve.fn(job)
    assert isinstance(parent, TorchParent)
    return parent


def answers(parent: TorchParent, job: Job) -> Tensor:
    with torch.no_grad():
        return parent.build()(torch.from_numpy(job.splits["test"].inputs[0]))


@pytest.mark.usefixtures("registered")
def test_a_registered_program_becomes_a_module_that_answers_the_same(workspace: Workspace) -> None:
    tiny = job(workspace)
    parent = torch_parent(tiny)
    rows = torch.from_numpy(tiny.splits["test"].inputs[0])
    torch.testing.assert_close(answers(parent, tiny), network()(rows).detach())
    assert parent.names == ("input",)
    assert [type(module).__name__ for module in parent.build().modules()].count("Linear") == 2


@pytest.mark.usefixtures("registered")
def test_every_module_is_a_fresh_one(workspace: Workspace) -> None:
    tiny = job(workspace)
    parent = torch_parent(tiny)
    before = answers(parent, tiny)
    with torch.no_grad():
        for weight in parent.build().parameters():
            weight.zero_()
    torch.testing.assert_close(answers(parent, tiny), before)


@pytest.mark.usefixtures("registered")
def test_a_version_is_fetched_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = torch_parent(job(workspace))
    monkeypatch.setattr(Upstream, "fetch", lambda *_: pytest.fail("fetched again"))
    second = torch_parent(job(workspace))
    assert (second.program, second.digest) == (first.program, first.digest)


@pytest.mark.usefixtures("registered")
def test_the_parents_digest_follows_its_program_alone(workspace: Workspace) -> None:
    first = torch_parent(job(workspace))
    again = resolve.fn(job(workspace, trust_pickled_modules=True))
    assert again.digest == first.digest


@pytest.mark.parametrize(
    ("workload", "says"),
    [
        (
            Doubles(),
            "expected train rows for model `tiny` version 1 as float32 (rows, 6), got float64 (rows, 6); change",
        ),
        (Pairs(), "as float32 (rows, 6), got float32 (rows, 6); float32 (rows, 6); change what Workload.split returns"),
        (
            Narrow(),
            "expected train rows for model `tiny` version 1 as float32 (rows, 6), got float32 (rows, 5); change",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.usefixtures("registered")
def test_rows_that_the_model_does_not_take_are_refused(workspace: Workspace, workload: Blobs, says: str) -> None:
    wrong = job(workspace, workload=workload)
    with pytest.raises(PreflightError) as caught:
        resolve.fn(wrong)
    assert says in str(caught.value)
    assert str(caught.value).endswith("or register a model for these rows")
    assert stages(wrong) == ["program"]


@pytest.mark.parametrize("workload", [Blobs(), Building(network())], ids=["rebuilt", "own architecture"])
def test_a_program_for_one_batch_size_is_refused_with_the_remedy(workspace: Workspace, workload: Blobs) -> None:
    version = register_upstream(workspace.tracking_uri, "single", network(), example(rows=1), {})
    with pytest.raises(
        IntakeError, match=r"got a fixed batch size of 1 .* register with an input_example of 2 or more"
    ):
        resolve.fn(job(workspace, "single", version, workload=workload))


def test_a_program_that_cannot_be_rebuilt_is_named_with_the_remedy(workspace: Workspace, scaled: str) -> None:
    with pytest.raises(RebuildError, match=r"it changes 'calls'.*; give the workload a build_model\(\)"):
        resolve.fn(job(workspace, scaled))


def test_the_workloads_own_architecture_is_the_way_out(workspace: Workspace, scaled: str) -> None:
    fresh = Scaled()
    nn.init.zeros_(fresh.layer.weight)
    own = job(workspace, scaled, workload=Building(fresh))
    expected = Scaled()(torch.from_numpy(own.splits["test"].inputs[0])).detach()
    torch.testing.assert_close(answers(torch_parent(own), own), expected)


@pytest.mark.parametrize(
    ("module", "kind", "says"),
    [
        (Scaled(outputs=4), IntakeError, r"other shapes layer\.bias \[3\] in the program, \[4\] in the module"),
        (network(), IntakeError, r"expected build_model\(\) to return the architecture of the registered program"),
        (
            ValueError("no width"),
            ConfigurationError,
            r"Building\.build_model\(\): .* got ValueError: no width; correct it",
        ),
        ("a path", ConfigurationError, r"expected a torch module or None, got str; return the architecture itself"),
    ],
    ids=["shapes", "architecture", "raises", "no module"],
)
def test_an_architecture_that_does_not_fit_is_refused(
    workspace: Workspace, scaled: str, module: object, kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        resolve.fn(job(workspace, scaled, workload=Building(module)))


def test_an_architecture_that_answers_otherwise_is_refused(workspace: Workspace, scaled: str) -> None:
    class Plain(Scaled):
        def forward(self, rows: Tensor) -> Tensor:
            return self.layer(rows)

    with pytest.raises(IntakeError, match=r"expected the rebuilt model to equal the registered program"):
        resolve.fn(job(workspace, scaled, workload=Building(Plain())))


def test_a_version_without_a_model_is_refused_with_the_remedy(workspace: Workspace, tmp_path: Path) -> None:
    version = add_version(workspace.tracking_uri, "hollow", model_folder(tmp_path / "hollow", ("pytorch",), {}))
    with pytest.raises(RegistryError, match=r"expected a program \(data/model\.pt2\), .* got none of them; log it"):
        resolve.fn(job(workspace, "hollow", version))


def test_a_program_that_is_none_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "text", ("pytorch",), {"model.pt2": b"no archive"})
    version = add_version(workspace.tracking_uri, "text", folder)
    with pytest.raises(IntakeError, match="expected a `pt2` file, got a file that is no archive; register the model"):
        resolve.fn(job(workspace, "text", version))


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    """A module as MLflow stores it when asked to pickle."""
    mlflow.pytorch.save_model(
        network(), tmp_path / "pickled", serialization_format="pickle", pip_requirements=["torch"]
    )
    return tmp_path / "pickled"


def test_a_pickled_module_is_refused_without_trust(workspace: Workspace, pickled: Path) -> None:
    version = add_version(workspace.tracking_uri, "pickled", pickled)
    with pytest.raises(RegistryError) as caught:
        resolve.fn(job(workspace, "pickled", version))
    assert "expected an exported program (pt2), got a pickled module, which runs its author's code" in str(caught.value)
    assert "set `trust_pickled_modules: true` in the recipe if everyone who can write" in str(caught.value)


def test_a_pickled_module_is_taken_with_trust_and_only_then(workspace: Workspace, pickled: Path) -> None:
    version = add_version(workspace.tracking_uri, "pickled", pickled)
    trusting = job(workspace, "pickled", version, trust_pickled_modules=True)
    parent = torch_parent(trusting)
    rows = torch.from_numpy(trusting.splits["test"].inputs[0])
    torch.testing.assert_close(answers(parent, trusting), network()(rows).detach())
    with pytest.raises(RegistryError, match="got a pickled module"):  # although its program is in the store by now
        resolve.fn(job(workspace, "pickled", version))


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.marker,)


@pytest.fixture
def bomb(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A model folder whose pickle runs code, and the file that the code makes; that it works is shown first."""
    folder, marker = model_folder(tmp_path / "bomb", ("pytorch",), {}), tmp_path / "made"
    torch.save(Bomb(marker), folder / "data" / "model.pth")
    torch.load(folder / "data" / "model.pth", weights_only=False)
    assert marker.exists()
    marker.unlink()
    yield folder, marker
    assert not marker.exists()


def test_a_malicious_pickle_is_refused_and_never_loaded(workspace: Workspace, bomb: tuple[Path, Path]) -> None:
    version = add_version(workspace.tracking_uri, "bomb", bomb[0])
    for _ in range(2):
        with pytest.raises(RegistryError, match="got a pickled module"):
            resolve.fn(job(workspace, "bomb", version))


def test_a_pickle_under_the_name_of_a_program_is_never_loaded(workspace: Workspace, bomb: tuple[Path, Path]) -> None:
    data = bomb[0] / "data"
    (data / "model.pth").rename(data / "model.pt2")  # torch.save and torch.export.save both write zip archives
    version = add_version(workspace.tracking_uri, "disguised", bomb[0])
    with pytest.raises(
        IntakeError, match="expected a whole `pt2` file, got a truncated archive or one of another kind"
    ):
        resolve.fn(job(workspace, "disguised", version, trust_pickled_modules=True))


def test_a_bare_pickle_under_the_name_of_a_program_is_never_loaded(
    workspace: Workspace, bomb: tuple[Path, Path]
) -> None:
    data = bomb[0] / "data"
    (data / "model.pth").unlink()
    (data / "model.pt2").write_bytes(pickle.dumps(Bomb(bomb[1])))
    version = add_version(workspace.tracking_uri, "bare-pickle", bomb[0])
    with pytest.raises(IntakeError, match="got a file that is no archive"):
        resolve.fn(job(workspace, "bare-pickle", version, trust_pickled_modules=True))


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"no pickle", "got UnpicklingError"), (None, "got AttributeError: 'dict' object has no attribute 'eval'")],
    ids=["damaged", "no module"],
)
def test_a_trusted_pickle_that_is_no_module_is_refused(
    workspace: Workspace, tmp_path: Path, content: bytes | None, says: str
) -> None:
    folder = model_folder(tmp_path / "weights", ("pytorch",), {"model.pth": content or b""})
    if content is None:
        torch.save({"plain": 1}, folder / "data" / "model.pth")
    version = add_version(workspace.tracking_uri, "weights", folder)
    with pytest.raises(
        RegistryError, match=f"the pickled module model.pth: expected to load it and .*{says}.*; install"
    ):
        resolve.fn(job(workspace, "weights", version, trust_pickled_modules=True))


def test_a_trusted_pickle_that_the_rows_do_not_fit_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "wide", ("pytorch",), {})
    torch.save(network(FEATURES + 1), folder / "data" / "model.pth")
    version = add_version(workspace.tracking_uri, "wide-pickle", folder)
    with pytest.raises(RegistryError, match="see that the workload's rows fit it"):
        resolve.fn(job(workspace, "wide-pickle", version, trust_pickled_modules=True))
