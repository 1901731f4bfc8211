"""10 versions of 3 models on two workers, one of which is killed at work: each is answered once and published once."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient

from flows.watch.process_label import process_of
from tasks.registry import EdgeModels, Runs, register_upstream
from tests.edge_runtime.bundle.listing import bundles_in
from tests.edge_runtime.processes import wait_until
from tests.end_to_end.prefect_api import FINAL, PrefectApi
from tests.end_to_end.scale.cluster import AWAY, BUCKET, Cluster, can_be_elsewhere, free_port, s3_server
from tests.end_to_end.scale.postgres import Postgres, find_programs, postgres
from tests.end_to_end.servers import processes_of
from tests.end_to_end.tiny.upstream import EXAMPLE, trained
from tests.end_to_end.tiny.variants import write_variant
from tests.tasks.registry.versions import add_like, answered_versions

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow, pytest.mark.timeout(4800)]

VERSIONS = {"harbour": 4, "orchard": 3, "quarry": 3}
NEWEST_ALONE = {"quarry"}
SUPERSEDED = re.compile("supersedes it|nothing to compute: .* not older than the deployed one")
DEVICE = "tiny"
END_S = 3000
LOOK_S = 2.0
"""Seconds between two questions to the servers, which have enough to do."""


@dataclass
class Story:
    """The run that was killed with so many processes, and all of Prefect's runs with what they logged."""

    cluster: Cluster
    database: Postgres
    s3: str
    killed: dict[str, Any]
    processes: int
    runs: list[dict[str, Any]]
    messages: dict[str, list[str]]

    def answers(self, model: str) -> dict[str, list[str]]:
        """Return the answers that MLflow has for each version of a model."""
        runs = Runs(self.cluster.mlflow, model)
        found: dict[str, list[str]] = {}
        for run in runs.search({"edgewright.stage": "compress"}):
            found.setdefault(run.data.tags["edgewright.version"], []).append(run.data.tags.get("edgewright.answer", ""))
        return found

    def runs_of(self, model: str, version: str) -> list[dict[str, Any]]:
        """Return Prefect's runs of a version, the first attempt first."""
        asked = {"model": model, "version": version}
        found = [run for run in self.runs if asked.items() <= run["parameters"].items()]
        return sorted(found, key=lambda run: run["created"])


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Register the versions, kill the worker `far` at work, and wait until nothing is wanted any more."""
    programs = find_programs()
    if programs is None or find_spec("moto") is None or find_spec("psycopg2") is None:
        pytest.skip("needs Debian's package postgresql and the extra scale-tests: make test-scale")
    if not can_be_elsewhere():
        pytest.skip("needs the right to give a process a host name of its own")
    root = tmp_path_factory.mktemp("scale")
    with postgres(programs, free_port()) as database, s3_server(free_port(), root / "s3.log") as s3:
        for name in ("mlflow", "prefect"):
            database.create(name)
        recipes = [_recipe(root, model) for model in VERSIONS]
        cluster = Cluster(root / "stack", database, s3, recipes)
        try:
            yield _told(cluster, database, s3)
        finally:
            cluster.stop()


def _recipe(root: Path, model: str) -> str:
    own = {"model": model, "newer": "supersede" if model in NEWEST_ALONE else "finish"}
    folder = root / "recipes" / model
    device = write_variant(folder, DEVICE, own)
    return str(Path(device).rename(Path(device).with_name(f"{model}.yaml")))


def _told(cluster: Cluster, database: Postgres, s3: str) -> Story:
    for name in ("mlflow", "near", "far"):
        cluster.start(name)
    with PrefectApi(cluster.prefect) as api:
        api.pause("reconcile/edgewright")  # the watcher alone starts runs
    cluster.begin("watcher")
    for number in range(max(VERSIONS.values())):
        _register(cluster.mlflow, [model for model, count in VERSIONS.items() if number < count], seed=number)
    with PrefectApi(cluster.prefect) as api:
        killed: dict[str, Any] = {}
        wait_until(lambda: bool(killed.update(_at_work(cluster, api)) or killed), seconds=1200)
        count = cluster.kill("far")
        assert not list(processes_of(cluster.home("far")))
        wait_until(lambda: _is_over(cluster, api), seconds=END_S)
        runs = api.runs_of("compress")
        messages = {run["id"]: api.messages(run["id"]) for run in runs}
        return Story(cluster, database, s3, killed, count, runs, messages)


def _register(address: str, models: list[str], seed: int) -> None:
    """Register one trained network as the next version of several models."""
    client = MlflowClient(address, registry_uri=address)
    first = client.get_model_version(models[0], register_upstream(address, models[0], trained(seed=seed), EXAMPLE, {}))
    for model in models[1:]:
        add_like(client, model, first)


def _at_work(cluster: Cluster, api: PrefectApi) -> dict[str, Any]:
    """Return the run that the worker `far` compresses now: a stage is unfinished there, and it said who works on it."""
    if not list((cluster.home("far") / "store").glob("*/.tmp-*")):
        return {}
    time.sleep(LOOK_S)
    for run in api.runs_of("compress", "RUNNING"):
        process = process_of(run["labels"], run["run_count"])
        if process is not None and process.machine.startswith(AWAY):
            return run
    return {}


def _is_over(cluster: Cluster, api: PrefectApi) -> bool:
    """Tell whether every run has ended and the newest version of every model is answered."""
    time.sleep(LOOK_S)
    if any(run["state_type"] not in FINAL for run in api.runs_of("compress")):
        return False
    return all(count in answered_versions(Runs(cluster.mlflow, model)) for model, count in VERSIONS.items())


def _came_too_late(story: Story) -> bool:
    """Tell whether a newer version was published before anybody knew that the worker was dead, in two minutes.

    The killed version is then for a person to ask for, as the plan says: it is older than the deployed one.
    """
    (crashed,) = (run for run in story.runs if run["id"] == story.killed["id"])
    asked = crashed["parameters"]
    ended = [
        int(run["parameters"]["version"]) for run in story.runs
        if run["parameters"]["model"] == asked["model"] and run["state_type"] == "COMPLETED"
        and run["end_time"] < crashed["end_time"]
    ]  # fmt: skip
    return any(version > int(asked["version"]) for version in ended)


def test_a_worker_on_another_machine_was_killed_at_work(story: Story) -> None:
    assert story.processes >= 2  # the worker and its run
    (crashed,) = (run for run in story.runs if run["id"] == story.killed["id"])
    assert crashed["state_type"] == "CRASHED"
    assert "no sign of life for" in crashed["state"]["message"]


def test_each_version_has_one_answer_or_says_that_a_newer_one_superseded_it(story: Story) -> None:
    for model, count in VERSIONS.items():
        answers = story.answers(model)
        for version in map(str, range(1, count + 1)):
            asked = story.runs_of(model, version)
            if not asked:  # a newer one was there before the watcher looked
                assert model in NEWEST_ALONE and int(version) < count, f"{model} {version}: no run"
                continue
            last = asked[-1]
            if last["id"] == story.killed["id"] and _came_too_late(story):
                continue
            if version in answers and answers[version] != [""]:
                assert answers[version] == ["published"], f"{model} {version}: {answers[version]}"
                assert last["state_type"] == "COMPLETED"
            else:
                said = [last["state"]["message"] or "", *story.messages[last["id"]]]
                assert any(SUPERSEDED.search(each) for each in said), f"{model} {version}: {last['state']}, {said}"


def test_the_killed_version_is_tried_again_once_by_the_other_machine(story: Story) -> None:
    asked = story.killed["parameters"]
    first, *again = story.runs_of(asked["model"], asked["version"])
    assert first["id"] == story.killed["id"]
    if _came_too_late(story):
        assert not again
        return
    (second,) = again
    assert second["state_type"] == "COMPLETED"
    assert not str(process_of(second["labels"], second["run_count"])).endswith(AWAY)


def test_every_other_version_has_one_run(story: Story) -> None:
    asked = Counter((run["parameters"]["model"], run["parameters"]["version"]) for run in story.runs)
    killed = story.killed["parameters"]
    assert asked.pop((killed["model"], killed["version"])) == (1 if _came_too_late(story) else 2)
    assert set(asked.values()) == {1}


@pytest.mark.parametrize("model", VERSIONS)
def test_each_release_number_is_published_once(story: Story, model: str) -> None:
    models = EdgeModels(story.cluster.mlflow, model)
    releases = models.releases(DEVICE)
    numbers = [release.release for release in releases]
    assert sorted(numbers) == sorted(set(numbers))
    sources = [release.source_version for release in releases]
    assert sorted(sources) == sorted(set(sources))
    bundles = bundles_in(story.cluster.target, model, DEVICE)
    assert sorted(bundle.manifest.version for bundle in bundles) == sorted(sources)
    deployed = models.deployed(DEVICE)
    assert deployed is not None
    assert deployed.release == max(numbers)
    assert deployed.source_version == str(VERSIONS[model])


@pytest.mark.parametrize("model", VERSIONS)
def test_no_run_is_left_at_work_in_mlflow(story: Story, model: str) -> None:
    runs = Runs(story.cluster.mlflow, model)
    assert [run.info.run_name for run in runs.search({"edgewright.model": model}) if run.info.status == "RUNNING"] == []


def test_the_records_are_in_postgresql_and_the_files_in_s3(story: Story) -> None:
    assert story.database.count("prefect", "flow_run") == len(story.runs)
    assert story.database.count("mlflow", "model_versions") >= sum(VERSIONS.values())
    listed = httpx.get(f"{story.s3}/{BUCKET}", params={"list-type": "2"}, trust_env=False).text
    assert "report.html" in listed


def test_both_machines_worked_in_homes_of_their_own(story: Story) -> None:
    for machine in ("near", "far"):
        assert list((story.cluster.home(machine) / "store").iterdir())
