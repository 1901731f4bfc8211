"""Preflight: wrong input is refused before anything is computed, in one sentence with a remedy."""

import shutil
from pathlib import Path

import pytest

from deployments.errors import ConfigurationError
from edge_runtime.cpu import InstructionSet
from edge_runtime.errors import EdgewrightError
from tasks.device_link import measuring as available
from tasks.errors import PreflightError, RegistryError, RegistryUnavailable
from tasks.job import Job
from tasks.registry import EdgeModels
from tasks.upstream import check_recipe, preflight
from tasks.workspace import Workspace
from tests.tasks.tiny import RECIPE, ROWS

GATE = "    margin: 0.05\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A copy of the recipe that a test may change, with its device profile."""
    shutil.copytree(RECIPE.parents[1] / "devices", tmp_path / "devices")
    (tmp_path / "recipes").mkdir()
    return Path(shutil.copy(RECIPE, tmp_path / "recipes" / "tiny.yaml"))


@pytest.fixture(autouse=True)
def _registered(registered: str) -> None:
    """Every test has the model, so that what is refused is refused for its own reason."""


def changed(recipe: Path, old: str, new: str) -> Path:
    text = recipe.read_text()
    assert old in text
    recipe.write_text(text.replace(old, new))
    return recipe


def check(recipe: Path, workspace: Workspace, model: str = "tiny", version: str = "1") -> Job:
    return preflight.fn(model, version, recipe, workspace)


def refused(kind: type[EdgewrightError], recipe: Path, workspace: Workspace, **asked: str) -> str:
    """The message, after a look that nothing was computed."""
    with pytest.raises(kind) as caught:
        check(recipe, workspace, **asked)
    assert not workspace.store.root.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_fits_becomes_a_job(recipe: Path, workspace: Workspace) -> None:
    job = check(recipe, workspace)
    assert (job.model, job.version, job.recipe.name) == ("tiny", "1", "tiny")
    assert {name: len(split) for name, split in job.splits.items()} == ROWS


def test_an_emulator_that_is_missing_is_said_before_any_long_work(
    recipe: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, warned: list[str]
) -> None:
    monkeypatch.setattr(available, "this_instruction_set", lambda: "avx512_vnni")
    monkeypatch.setenv("PATH", str(tmp_path))
    profile = recipe.parents[1] / "devices" / "bench.yaml"
    changed(profile, "kind: native", "kind: emulated\n  cpu: Haswell\n  timeout_s: 60")
    check(recipe, workspace)
    assert len(warned) == 1 and warned[0].startswith("bench: its gates on answers will be inconclusive: expected qemu-")
    assert "Install qemu-user-static" in warned[0]


@pytest.mark.parametrize(
    ("here", "accepted", "said"),
    [("avx512_vnni", False, 1), (None, False, 1), ("avx512_vnni", True, 0), ("avx2", False, 0)],
)
def test_a_device_that_nothing_could_be_published_on_is_said_before_any_long_work(
    recipe: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, warned: list[str],
    here: InstructionSet | None, accepted: bool, said: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(available, "this_instruction_set", lambda: here)
    changed(recipe, "prune:", f"accept_unproven_instruction_set: {str(accepted).lower()}\nprune:")
    check(recipe, workspace)
    assert len(warned) == said
    for message in warned:
        assert message.startswith("bench: expected answers on the device's own instruction set, avx2, got ")
        assert (here or "a set that no profile names") in message
        assert "emulated answers" in message and "`accept_unproven_instruction_set: true`" in message


def test_a_recipe_is_checked_before_any_model_is_there(recipe: Path) -> None:
    read, splits = check_recipe(recipe)
    assert read.name == "tiny"
    assert {name: len(split) for name, split in splits.items()} == ROWS


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        (
            "{column: label, equals: d}",
            "key `gates`: on the validation split: Gate 'accuracy against parent': No row has label = 'd'; it holds "
            "'a', 'b', 'c'. Correct the `slice` in the recipe, or add such rows to the validation split.",
        ),
        (
            "{column: sensor, equals: a}",
            "on the validation split: Gate 'accuracy against parent': No column 'sensor' in the measured rows, which "
            "have label, site. Let the workload give every validation row a 'sensor'",
        ),
        ("{column: site, equals: true}", "No row has site = True; it holds 0, 1."),
    ],
)
def test_a_slice_without_rows_is_refused(recipe: Path, workspace: Workspace, condition: str, says: str) -> None:
    changed(recipe, GATE, f"    slice: {condition}\n{GATE}")
    message = refused(PreflightError, recipe, workspace)
    assert message.startswith(f"{recipe}: ")
    assert says in message


def test_a_slice_of_the_validation_split_alone_is_refused(
    recipe: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(recipe, GATE, f"    slice: {{column: site, equals: 1}}\n{GATE}")
    check(recipe, workspace)
    monkeypatch.setitem(ROWS, "test", 1)
    message = refused(PreflightError, recipe, workspace)
    assert "key `gates`: on the test split: Gate " in message and "add such rows to the test split." in message


def test_a_model_that_nobody_registered_is_named(recipe: Path, workspace: Workspace) -> None:
    changed(recipe, "model: tiny", "model: ghost")
    message = refused(RegistryError, recipe, workspace, model="ghost")
    assert "model `ghost`: expected it in the registry at sqlite:///" in message
    assert "register it in MLflow or correct the recipe's `model`" in message


def test_a_version_that_does_not_exist_is_named(recipe: Path, workspace: Workspace) -> None:
    message = refused(RegistryError, recipe, workspace, version="99")
    assert "model `tiny` version 99: expected a registered version, got versions 1" in message
    assert "correct the version or register it" in message


def test_the_recipe_of_another_model_is_refused(recipe: Path, workspace: Workspace) -> None:
    message = refused(PreflightError, recipe, workspace, model="digits")
    assert message == (
        f"{recipe}: key `model`: expected digits, which is to be compressed, got tiny; use the recipe of digits"
    )


def test_a_registry_that_is_down_is_no_missing_model(recipe: Path, tmp_path: Path, unreachable: str) -> None:
    message = refused(RegistryUnavailable, recipe, Workspace.at(tmp_path / "home", unreachable))
    assert message.startswith(f"MLflow at {unreachable}: expected an answer, got ")
    assert "see that its server runs, and that MLFLOW_TRACKING_URI is its address" in message


def test_a_workload_that_cannot_be_imported_is_named_with_its_file(recipe: Path, workspace: Workspace) -> None:
    changed(recipe, "tests.tasks.tiny:Blobs", "tests.tasks.nowhere:Blobs")
    message = refused(ConfigurationError, recipe, workspace)
    assert message.startswith(f"{recipe}: workload `tests.tasks.nowhere:Blobs`: expected module tests.tasks.nowhere to")
    assert "put its folder on PYTHONPATH, or correct the recipe's `workload`" in message


def test_rows_that_are_no_good_are_named_with_their_file(
    recipe: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ROWS, "test", 0)
    message = refused(ConfigurationError, recipe, workspace)
    assert message.startswith(f"{recipe}: workload `tests.tasks.tiny:Blobs`: split `test`: expected at least one row")


def test_a_recipe_that_is_wrong_is_refused_first(recipe: Path, workspace: Workspace) -> None:
    changed(recipe, GATE, "")
    assert "key `gates.0.margin` is missing" in refused(ConfigurationError, recipe, workspace, model="ghost")


def test_a_resource_that_few_machines_can_measure_is_refused(recipe: Path, workspace: Workspace) -> None:
    energy = "gates:\n  - {kind: limit, name: energy, resource: energy_mj, at_most: 5}\n"
    message = refused(ConfigurationError, changed(recipe, "gates:\n", energy), workspace)
    assert "most machines show no counter of energy" in message and message.endswith("remove the gate")


def test_a_name_that_another_models_edge_model_has_is_refused_first(recipe: Path, workspace: Workspace) -> None:
    changed(recipe.parents[1] / "devices" / "bench.yaml", "name: bench", "name: taken")
    changed(recipe, "bench", "taken")
    (recipe.parents[1] / "devices" / "bench.yaml").rename(recipe.parents[1] / "devices" / "taken.yaml")
    client = EdgeModels(workspace.tracking_uri, "tiny").client
    client.create_registered_model("tiny-taken", tags={"edgewright.source_model": "ti"})
    message = refused(RegistryError, recipe, workspace)
    assert message.startswith("registered model tiny-taken: expected the edge model of `tiny`, got one of `ti`; rename")
