"""The commands about looks: the table of them, how worn the rows are in words, and grants."""

from pathlib import Path
from zlib import crc32

import pytest
from rich.console import Console

from flows.decisions import grant_further, looks_table, wear_of
from quality_gates.errors import ApprovalError
from tasks.registry import LookLedger
from tasks.selection import ledger_of
from tasks.upstream import check_recipe
from tests.deployments.yaml_cases import HERE

SAID = {"model": "tiny", "version": "1", "device": "bench", "recipe": "tiny"}
NOW = {"when": "2026-11-26 10:00:00", "again": True}


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('looks')}/mlflow.db"


@pytest.fixture
def recipe(tracking_uri: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recipe of a margin that no other test has."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    (tmp_path / "devices").mkdir()
    (tmp_path / "recipes").mkdir()
    (tmp_path / "devices" / "bench.yaml").write_text((HERE / "devices" / "bench.yaml").read_text())
    margin = 0.1 + crc32(request.node.name.encode()) % 8000 / 10_000
    smallest = (HERE / "valid" / "smallest.yaml").read_text()
    path = tmp_path / "recipes" / "worn.yaml"
    path.write_text(smallest.replace("margin: 0.05", f"margin: {margin}"))
    return path


def spend(recipe: Path, spending: str) -> None:
    recipe.write_text(f"{recipe.read_text().split('alpha_spending')[0]}alpha_spending: {spending}\n")


def ledger(recipe: Path, tracking_uri: str) -> LookLedger:
    read, splits = check_recipe(recipe)
    return ledger_of(tracking_uri, read, splits["test"])


def shown(recipe: Path) -> str:
    console = Console(width=160)
    with console.capture() as captured:
        console.print(looks_table(recipe))
    return captured.get()


def test_taken_and_withheld_looks_are_told_apart_and_the_share_spent_is_said(recipe: Path, tracking_uri: str) -> None:
    spend(recipe, "{total: 0.05, looks: 2}")
    for key in "abc":
        ledger(recipe, tracking_uri).take(key, SAID, NOW)
    assert wear_of(recipe) == (
        "2 of 2 looks are taken; 1 more withheld. A look may pass falsely in 2.5 % of cases; 5 % of 5 % in all are "
        "spent."
    )
    lines = shown(recipe).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["1", "2", "-"]
    assert lines[-1].endswith("withheld, no row was read") and "1 (1 by " in lines[-1]
    assert "level" not in lines[1] and "rows" not in lines[1]
    told = grant_further(recipe, 1, by=" Ada ", reason="new rows come in spring")
    assert told.startswith("2 of 3 looks are taken") and told.endswith("Ada granted 1: new rows come in spring.")


def test_looks_of_different_levels_show_them(recipe: Path, tracking_uri: str) -> None:
    for number, spending in enumerate(["{total: 0.05, looks: 5}", "{total: 0.05, looks: 10}"]):
        spend(recipe, spending)
        ledger(recipe, tracking_uri).take(str(number), SAID, NOW)
    assert "level" in shown(recipe) and "1 %" in shown(recipe) and "0.5 %" in shown(recipe)
    assert wear_of(recipe).startswith("2 of 9 looks are taken. A look may pass falsely in 0.5 % of cases; 1.5 % of 5 %")


def test_where_nothing_limits_looks_none_can_be_granted(recipe: Path, tracking_uri: str) -> None:
    ledger(recipe, tracking_uri).take("a", SAID, NOW)
    assert wear_of(recipe) == (
        "1 look is taken; the recipe sets no number of them. Any of them passes falsely in at most 5 % of cases."
    )
    with pytest.raises(ApprovalError, match="got none; no look is refused, so go on without a grant, or state"):
        grant_further(recipe, 1, by="Ada", reason="spring")


def test_a_grant_is_needed_where_an_earlier_total_stays(recipe: Path, tracking_uri: str) -> None:
    spend(recipe, "{total: 0.05, looks: 1}")
    ledger(recipe, tracking_uri).take("a", SAID, NOW)
    spend(recipe, "none")
    assert grant_further(recipe, 2, by="Ada", reason="spring").startswith("1 of 3 looks are taken.")


@pytest.mark.parametrize("looks", [0, -5])
def test_a_grant_is_of_one_look_at_least(recipe: Path, looks: int) -> None:
    with pytest.raises(ApprovalError, match=f"--looks: expected 1 or more further looks, got {looks}"):
        grant_further(recipe, looks, by="Ada", reason="spring")
