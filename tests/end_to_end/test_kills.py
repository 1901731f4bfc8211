"""kill -9 at any point and run again: nothing that finished is computed again, and nothing is half published."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tasks.registry import EdgeModels, Runs
from tasks.selection import ledger_of
from tasks.upstream import check_recipe
from tasks.workspace import Workspace
from tests.edge_runtime.bundle.listing import bundles_in
from tests.tasks.registry.versions import answered_versions

RECIPE = Path(__file__).parent / "tiny" / "recipes" / "tiny.yaml"

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(600)]

MID_STAGE = ("parent export", "fine-tuning", "quantization", "measurement")
AFTER_THE_ALIAS = ("device's answer", "answer")
KILLED = (*MID_STAGE, "look", "acceptance", "bundle", "aliases", *AFTER_THE_ALIAS)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kills") / "home"


@pytest.fixture(scope="module")
def children(home: Path) -> list[dict[str, Any]]:
    """Every child process in order."""
    home.mkdir()
    command = [sys.executable, "-m", "tests.end_to_end.kills", str(home)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=560, check=False)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) | {"stderr": ended.stderr} for line in ended.stdout.splitlines() if line.startswith("{")]


def test_every_kill_hit_where_it_was_meant_to(children: list[dict[str, Any]]) -> None:
    killed = [child["name"] for child in children if child["killed"]]
    assert killed == [*KILLED, *AFTER_THE_ALIAS]
    assert all(child["fired"] for child in children if child["killed"])


@pytest.mark.parametrize("point", [*MID_STAGE, "acceptance"])
def test_a_kill_in_a_stage_leaves_only_unfinished_work(children: list[dict[str, Any]], point: str) -> None:
    (child,) = (child for child in children if child["name"] == point)
    assert child["unfinished"], "the kill did not hit in the middle of a stage"


def test_the_runs_that_nobody_kills_end_well(children: list[dict[str, Any]]) -> None:
    others = {child["name"]: child["code"] for child in children if not child["killed"]}
    assert others == dict.fromkeys(("register 1", "finish 1", "register 2", "finish 2", "again 2"), 0), children[-1][
        "stderr"
    ]


@pytest.mark.usefixtures("children")
def test_no_stage_is_computed_twice(home: Path) -> None:
    computed = Counter((home / "computed").read_text().splitlines())
    assert len(computed) > 10
    assert set(computed.values()) == {1}


@pytest.mark.usefixtures("children")
def test_what_is_published_is_whole_and_registered_once(home: Path) -> None:
    workspace = Workspace.at(home)
    bundles = bundles_in(home / "target", "tiny", "tiny")
    assert sorted(bundle.manifest.version for bundle in bundles) == ["1", "2"]
    models = EdgeModels(workspace.tracking_uri, "tiny")
    assert len(models.client.search_model_versions("name='tiny-tiny'")) == 2


@pytest.mark.usefixtures("children")
def test_a_run_killed_after_its_alias_moved_is_held_against_what_was_deployed_before(home: Path) -> None:
    outcome = json.loads((home / "outcome-2.json").read_text())
    assert outcome["devices"][0]["deployed_version"] == "1"
    models = EdgeModels(Workspace.at(home).tracking_uri, "tiny")
    deployed, previous = models.deployed("tiny"), models.previous("tiny")
    assert deployed is not None and previous is not None
    assert (deployed.source_version, previous.source_version) == ("2", "1")


@pytest.mark.usefixtures("children")
def test_a_look_that_was_killed_before_the_rows_were_read_is_the_same_look_later(home: Path) -> None:
    recipe, splits = check_recipe(RECIPE)
    looks = ledger_of(Workspace.at(home).tracking_uri, recipe, splits["test"]).read().looks
    assert [(look.said["version"], look.number, look.outcome) for look in looks] == [("1", 1, "pass"), ("2", 2, "pass")]
    assert len(looks[0].attempts) > 1


@pytest.mark.usefixtures("children")
def test_one_run_answers_a_version_however_often_it_was_killed(home: Path) -> None:
    runs = Runs(Workspace.at(home).tracking_uri, "tiny")
    assert answered_versions(runs) == {1, 2}
    parents = runs.search({"edgewright.stage": "compress"})
    assert len(parents) == 2
    assert json.loads((home / "outcome-2.json").read_text())["reused"]
