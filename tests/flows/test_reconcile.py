"""Reconciliation: the versions that it asks for; one bad version does not keep the others waiting."""

from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

import flows.compress
import flows.reconcile
from edge_runtime.errors import EdgewrightError
from tasks.workspace import Workspace
from tests.end_to_end.tiny import upstream
from tests.flows.conftest import TINY, Variant
from tests.tasks.registry.versions import add_version

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

    workspace = Workspace.at(tmp_path)
    for _ in range(2):
        add_version(workspace.tracking_uri, "tiny")

    def compress(*given: object, **_: object) -> str:
        version = given[1]
        asked.append(version)
        if version == "1":
            raise error
        return "answered"

    monkeypatch.setattr(flows.reconcile, "compress", compress)
    outcomes: list[Any] = list(flows.reconcile.reconcile([str(TINY / "recipes" / "tiny.yaml")], workspace))
    first, second = outcomes
    assert (asked, second) == (["1", "2"], "answered")
    assert (first.version, first.answer, first.exit_code) == ("1", answer, code)
    assert str(error).strip("'") in first.error


def test_one_bad_recipe_does_not_keep_the_next_waiting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    workspace = Workspace.at(tmp_path)
    add_version(workspace.tracking_uri, "tiny")
    monkeypatch.setattr(flows.reconcile, "compress", lambda *_, **_keys: "answered")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    paths = [str(broken), str(TINY / "recipes" / "tiny.yaml")]
    outcomes: list[Any] = list(flows.reconcile.reconcile(paths, workspace))
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
