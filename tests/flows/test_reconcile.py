"""Reconciliation: the versions that it asks for; one bad version does not keep the others waiting."""

from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

import flows.compress
import flows.reconcile
from deployments.recipe import Recipe, read_recipe
from edge_runtime.errors import EdgewrightError
from flows.reconcile import unanswered
from tasks.errors import RegistryError
from tasks.workspace import Workspace
from tests.end_to_end.tiny import upstream
from tests.flows.conftest import TINY, Variant


class Registry:
    """Versions and answers in memory, behind the interfaces of Upstream and Answers."""

    def __init__(self, versions: list[str] | None, answered: dict[str, bool]) -> None:
        self.known, self.answered = versions, answered

    def versions(self, model: str | None = None) -> Any:
        if model is None:  # those that have an answer
            return {int(version) for version in self.answered}
        if self.known is None:
            raise RegistryError(f"no model {model}")
        return self.known

    def close_dead(self) -> list[str]:
        return []

    def wants_an_answer(self, version: str) -> bool:
        return not self.answered.get(version)


@pytest.fixture
def recipe() -> Recipe:
    return read_recipe(TINY / "recipes" / "tiny.yaml")


@pytest.mark.parametrize(
    ("versions", "answered", "expected"),
    [
        (None, {}, []),
        ([], {}, []),
        (["1", "2"], {}, ["1", "2"]),
        (["1", "2", "3"], {"2": True}, ["3"]),
        (["1", "2"], {"1": True, "2": True}, []),
        (["1", "2"], {"1": True, "2": False}, ["2"]),
        (["9", "10"], {"9": True}, ["10"]),
    ],
    ids=["no model", "no version", "all new", "superseded", "all answered", "recipe changed", "numeric order"],
)
def test_what_has_no_answer(
    versions: list[str] | None,
    answered: dict[str, bool],
    expected: list[str],
    recipe: Recipe,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """`answered` says of a version whether its answer is of the present recipe and toolchain."""
    registry = Registry(versions, answered)
    monkeypatch.setattr(flows.reconcile, "Upstream", lambda _: registry)
    monkeypatch.setattr(flows.reconcile, "Runs", lambda *_: registry)
    monkeypatch.setattr(flows.reconcile, "Answers", lambda _: registry)
    monkeypatch.setattr(
        flows.reconcile, "_wants_an_answer", lambda _path, _recipe, version, _at: registry.wants_an_answer(version)
    )
    assert unanswered(TINY / "recipes" / "tiny.yaml", recipe, Workspace.at(tmp_path)) == expected


ERRORS = {
    "a wrong model": (EdgewrightError("bad"), "error", 2),
    "a full disk": (OSError("no space left on device"), "undecided", 3),
    "a registry": (MlflowException("went away"), "undecided", 3),
    "a surprise": (KeyError("surprise"), "undecided", 3),
}


@pytest.mark.parametrize("name", ERRORS)
def test_one_bad_version_does_not_keep_the_next_waiting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    asked: list[object] = []
    error, answer, code = ERRORS[name]

    def compress(*given: object) -> str:
        version = given[1]
        asked.append(version)
        if version == "1":
            raise error
        return "answered"

    monkeypatch.setattr(flows.reconcile, "compress", compress)
    monkeypatch.setattr(flows.reconcile, "unanswered", lambda *_: ["1", "2"])
    outcomes: list[Any] = list(flows.reconcile.reconcile([str(TINY / "recipes" / "tiny.yaml")], Workspace.at(tmp_path)))
    first, second = outcomes
    assert (asked, second) == (["1", "2"], "answered")
    assert (first.version, first.answer, first.exit_code) == ("1", answer, code)
    assert str(error).strip("'") in first.error


def test_one_bad_recipe_does_not_keep_the_next_waiting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(flows.reconcile, "compress", lambda *_: "answered")
    monkeypatch.setattr(flows.reconcile, "unanswered", lambda *_: ["1"])
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    paths = [str(broken), str(TINY / "recipes" / "tiny.yaml")]
    outcomes: list[Any] = list(flows.reconcile.reconcile(paths, Workspace.at(tmp_path)))
    first, second = outcomes
    assert (first.model, first.answer, first.exit_code, second) == ("broken", "error", 2, "answered")


def test_a_version_that_nothing_decides_is_asked_again_with_a_bound(
    tmp_path: Path, variant: Variant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    own, recipe = Workspace.at(tmp_path / "own"), variant("noisy")
    version = upstream.register(own.tracking_uri)
    with monkeypatch.context() as patched:
        patched.setattr(flows.compress, "resolve", full_disk)
        counts = [len(flows.reconcile.reconcile([recipe], own)) for _ in range(7)]
    assert counts == [1, 1, 1, 1, 1, 0, 0]
    assert "got none in 5 attempts" in caplog.text
    assert flows.compress.compress("tiny", version, recipe, own).answer == "published"  # a person may always ask
    assert flows.reconcile.reconcile([recipe], own) == []
