"""`edgewright family compose`: what it prints, and what it refuses."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import flows.cli
import tasks.families
from deployments.errors import ConfigurationError
from flows.cli import app
from model_compression.families import SharedBackbone
from tasks.families import Composition, FamilyRecord, RecordedMember
from tests.deployments.yaml_cases import HERE

runner = CliRunner()
RECORD = FamilyRecord(
    (RecordedMember("kind", "fashion-kind", "4", "", (10,)), RecordedMember("turn", "fashion-turn", "2", "", (4,))),
    None,
)
BACKBONE = SharedBackbone("abc", {"kind": "relu", "turn": "relu"}, 19376, {"kind": 0.98, "turn": 0.991})


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, str]]:
    """Keep the versions that are asked for; of `old`, nothing new comes."""
    monkeypatch.setenv("EDGEWRIGHT_HOME", str(tmp_path))
    kept: list[dict[str, str]] = []

    def compose(path: Path, _workspace: object, versions: dict[str, str]) -> Composition:
        kept.append(versions)
        return Composition("fashion", "5", RECORD, None if path.stem == "old" else BACKBONE)

    monkeypatch.setattr(tasks.families, "compose", compose)
    return kept


def test_a_new_version_is_told_with_what_its_members_share(chosen: list[dict[str, str]]) -> None:
    result = runner.invoke(app, ["family", "compose", "new.yaml", "--member", "turn=2"])
    assert result.exit_code == 0, result.output
    assert chosen == [{"turn": "2"}]
    assert result.output.splitlines() == [
        "Registered model `fashion` version 5: kind (fashion-kind version 4), turn (fashion-turn version 2).",
        "Their backbone has 19,376 parameters: 98.0% of kind, 99.1% of turn.",
        "Next: edgewright compress fashion 5 --recipe new.yaml",
    ]


def test_the_same_members_are_told_as_such(chosen: list[dict[str, str]]) -> None:
    result = runner.invoke(app, ["family", "compose", "old.yaml"])
    assert result.exit_code == 0 and chosen == [{}]
    assert result.output.startswith("Nothing new: model `fashion` version 5 was made of kind (fashion-kind version 4)")


@pytest.mark.parametrize("words", [["turn"], ["turn="], ["=2"], ["turn=1", "--member", "turn=2"]])
def test_versions_that_cannot_be_told_are_one_sentence(chosen: list[dict[str, str]], words: list[str]) -> None:
    result = runner.invoke(app, ["family", "compose", "new.yaml", "--member", *words])
    assert isinstance(result.exception, ConfigurationError) and "expected" in str(result.exception)
    assert not chosen


def test_a_family_is_composed_before_it_is_compressed_without_a_version(
    chosen: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    costs: list[tuple[str, str]] = []
    monkeypatch.setattr(flows.cli, "print_cost", lambda _, *asked: costs.append(asked[:2]))
    recipe = HERE / "valid" / "family.yaml"
    result = runner.invoke(app, ["compress", "tiny-family", "--recipe", str(recipe), "--dry-run"])
    assert result.exit_code == 0, result.output
    assert chosen == [{}] and costs == [("tiny-family", "5")]
    runner.invoke(app, ["compress", "tiny-family", "4", "--recipe", str(recipe), "--dry-run"])
    assert chosen == [{}] and costs[1:] == [("tiny-family", "4")]


def test_the_server_of_the_run_is_named_before_a_family_is_composed(
    chosen: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class StoppedError(Exception):
        pass

    def stopped() -> None:
        assert not chosen  # composing imports Prefect, which then reads where its server is
        raise StoppedError

    monkeypatch.setattr(flows.cli, "start_prefect", stopped)
    result = runner.invoke(app, ["compress", "tiny-family", "--recipe", str(HERE / "valid" / "family.yaml")])
    assert isinstance(result.exception, StoppedError)


@pytest.mark.parametrize(("model", "recipe"), [("tiny", "smallest.yaml"), ("another", "family.yaml")])
def test_only_a_family_is_compressed_without_a_version(chosen: list[dict[str, str]], model: str, recipe: str) -> None:
    result = runner.invoke(app, ["compress", model, "--recipe", str(HERE / "valid" / recipe)])
    assert isinstance(result.exception, ConfigurationError) and "where no version is named" in str(result.exception)
    assert not chosen
