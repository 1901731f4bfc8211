"""Reconciliation: the versions that it asks for; one bad version does not keep the others waiting."""

from pathlib import Path

import pytest

import flows.reconcile
from deployments.recipe import Recipe, read_recipe
from edge_runtime.errors import EdgewrightError
from flows.reconcile import unanswered
from tasks.errors import RegistryError
from tasks.workspace import Workspace
from tests.flows.conftest import TINY


class Registry:
    """Versions and answers in memory, behind the interface of Upstream and Runs."""

    def __init__(self, versions: list[str] | None, answered: dict[str, bool]) -> None:
        self.known, self.answered = versions, answered

    def versions(self, model: str) -> list[str]:
        if self.known is None:
            raise RegistryError(f"no model {model}")
        return self.known

    def answered_versions(self) -> set[int]:
        return {int(version) for version in self.answered}

    def find_answer(self, version: str, _: str) -> str | None:
        return "published" if self.answered.get(version) else None


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
    assert unanswered(recipe, Workspace.at(tmp_path)) == expected


def test_one_bad_version_does_not_keep_the_next_waiting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[object] = []

    def compress(*given: object) -> str:
        version = given[1]
        asked.append(version)
        if version == "1":
            raise EdgewrightError("bad")
        return "answered"

    monkeypatch.setattr(flows.reconcile, "compress", compress)
    monkeypatch.setattr(flows.reconcile, "unanswered", lambda *_: ["1", "2"])
    outcomes: list[object] = list(
        flows.reconcile.reconcile([str(TINY / "recipes" / "tiny.yaml")], Workspace.at(tmp_path))
    )
    assert (asked, outcomes) == (["1", "2"], ["answered"])
