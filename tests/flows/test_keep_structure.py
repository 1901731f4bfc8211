"""`keep_structure: prefer`: the next version has the structure of what is deployed, or the report says why not."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml
from torch import nn

import flows.compress
from quality_gates.report import ReportContent
from tasks.compression import kept_structure
from tasks.outcomes import DeviceOutcome
from tasks.registry import EdgeModels, Runs, register_upstream
from tasks.workspace import Workspace
from tests.end_to_end.tiny import upstream
from tests.end_to_end.tiny.onnx_upstream import register_graph, trained_graph
from tests.flows.conftest import TINY, Variant

FURTHER = upstream.STEPS + 20
PREFER = {"keep_structure": "prefer"}
RECIPE: dict[str, Any] = yaml.safe_load((TINY / "recipes" / "tiny.yaml").read_text())


class Versions:
    """Versions of a model of its own, for one device of the same name, and what came of each."""

    def __init__(self, world: Workspace, variant: Variant, name: str) -> None:
        self.world, self.variant, self.name = world, variant, name

    def register(self, network: nn.Module) -> str:
        return register_upstream(self.world.tracking_uri, self.name, network, upstream.EXAMPLE, {})

    def recipe(self, changes: dict[str, Any] | None = None, device: dict[str, Any] | None = None) -> str:
        return self.variant(self.name, {"model": self.name, **PREFER, **(changes or {})}, device)

    def compressed(self, version: str, recipe: str) -> DeviceOutcome:
        (line,) = flows.compress.compress(self.name, version, recipe, self.world).devices
        return line

    def report(self, line: DeviceOutcome) -> ReportContent:
        runs = Runs(self.world.tracking_uri, self.name)
        return ReportContent.model_validate_json(runs.read_text(line.run_id, "report.json"))

    def structure(self, line: DeviceOutcome) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(
            Runs(self.world.tracking_uri, self.name).read_text(line.run_id, "structure.json")
        )
        return read

    def graph(self, line: DeviceOutcome, folder: Path) -> tuple[list[Any], dict[str, Any]]:
        """The nodes of a released file, and the shape and type of each constant."""
        models = EdgeModels(self.world.tracking_uri, self.name)
        (edge,) = (each for each in models.releases(line.device) if each.release == line.release)
        graph = onnx.load(models.fetch(edge, folder / str(line.release))).graph
        nodes = [(node.op_type, list(node.input), list(node.output)) for node in graph.node]
        return nodes, {each.name: (list(each.dims), each.data_type) for each in graph.initializer}


@pytest.fixture
def versions(world: Workspace, variant: Variant, request: pytest.FixtureRequest) -> Versions:
    name = request.node.name.removeprefix("test_").translate(str.maketrans("_[", "--", "]"))[:40].strip("-")
    return Versions(world, variant, name)


def test_the_next_version_has_the_same_nodes_and_shapes(
    versions: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = versions.recipe()
    first = versions.compressed(versions.register(upstream.trained()), recipe)
    assert first.published and first.snapshot == "round 1"
    why = "The structure was chosen anew: nothing is deployed on {} yet."
    assert versions.report(first).why[0] == why.format(first.device)
    monkeypatch.setattr(flows.compress, "prune", lambda *_: pytest.fail("another structure was searched"))
    second = versions.compressed(versions.register(upstream.trained(FURTHER)), recipe)
    assert second.published and second.snapshot == "structure of release 1"
    assert versions.graph(second, tmp_path) == versions.graph(first, tmp_path)
    told, (before, after) = versions.report(second), map(versions.structure, (first, second))
    assert told.why[0] == (
        "The structure of release 1 was kept: version 2 without the same units holds every gate on validation."
    )
    assert dict(told.lineage)["pruning"] == "the structure of release 1 was kept"
    assert [row.stage for row in told.ledger] == ["parent", "structure of release 1", "PTQ minmax"]
    assert [point.label for point in told.points if point.kind in ("parent", "snapshot")] == [
        "parent", "structure of release 1"
    ]  # fmt: skip
    assert before["removed"] == after["removed"] != [] and before["shapes"] == after["shapes"]
    third = versions.compressed(versions.register(upstream.trained(FURTHER + 20)), recipe)
    assert third.snapshot == "structure of release 2"
    assert versions.graph(third, tmp_path) == versions.graph(first, tmp_path)


def test_another_architecture_gets_a_structure_of_its_own(versions: Versions, tmp_path: Path) -> None:
    recipe = versions.recipe({"prune": RECIPE["prune"] | {"max_rounds": 3}})
    first = versions.compressed(versions.register(upstream.trained()), recipe)
    other = versions.compressed(versions.register(upstream.trained(width=24)), recipe)
    assert other.published and other.snapshot.startswith("round")
    assert versions.report(other).why[0] == (
        "The structure was chosen anew, and not that of release 1: version 2 has another architecture (0.weight was "
        "16 x 1 x 3 x 3 and is 24 x 1 x 3 x 3)."
    )
    assert versions.graph(other, tmp_path)[1] != versions.graph(first, tmp_path)[1]


def test_a_gate_that_fails_on_it_asks_for_another(versions: Versions) -> None:
    first = versions.compressed(versions.register(upstream.trained()), versions.recipe())
    prune = RECIPE["prune"] | {"max_rounds": 3}
    assert first.figures.candidate is not None
    tighter = {"budgets": {"size_kb": first.figures.candidate.size_bytes / 1000 - 0.5}}
    second = versions.compressed(
        versions.register(upstream.trained(FURTHER)), versions.recipe({"prune": prune}, tighter)
    )
    told = versions.report(second)
    assert told.why[0] == (
        "The structure was chosen anew: with that of release 1, PTQ minmax misses file size on validation."
    )
    assert second.published and second.snapshot.startswith("round")
    assert (told.rungs[0].snapshot, told.rungs[0].outcome) == ("structure of release 1", "fail")


def test_each_device_keeps_its_own(versions: Versions, variant: Variant) -> None:
    variant("beside")
    alone = versions.recipe()
    versions.compressed(versions.register(upstream.trained()), alone)
    both = versions.recipe({"devices": [versions.name, "beside"]})
    version = versions.register(upstream.trained(FURTHER))
    kept, new = flows.compress.compress(versions.name, version, both, versions.world).devices
    assert (kept.snapshot, new.snapshot) == ("structure of release 1", "round 1")
    assert versions.report(new).why[0] == "The structure was chosen anew: nothing is deployed on beside yet."
    further = versions.register(upstream.trained(FURTHER + 20))
    lines = flows.compress.compress(versions.name, further, both, versions.world).devices
    assert [line.snapshot for line in lines] == ["structure of release 2", "structure of release 1"]
    own = [versions.structure(line)["removed"] for line in (kept, new, *lines)]
    assert own[0] == own[2] and own[1] == own[3]


@pytest.mark.parametrize("step", ["judge", "record_line"])
def test_a_kill_after_it_was_trained_trains_nothing_again(
    versions: Versions, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    recipe = versions.recipe()
    versions.compressed(versions.register(upstream.trained()), recipe)
    version = versions.register(upstream.trained(FURTHER))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(flows.compress, step, killed)
        with pytest.raises(KeyboardInterrupt):
            versions.compressed(version, recipe)
    monkeypatch.setattr(kept_structure, "fine_tune_with_parent", lambda *_: pytest.fail("it was trained again"))
    again = versions.compressed(version, recipe)
    assert again.published and (again.snapshot, again.release) == ("structure of release 1", 2)


def test_what_is_kept_of_an_older_release_without_the_key_is_taken_on(versions: Versions) -> None:
    without = versions.variant(versions.name, {"model": versions.name})
    first = versions.compressed(versions.register(upstream.trained()), without)
    assert not any("structure" in sentence for sentence in versions.report(first).why)
    second = versions.compressed(versions.register(upstream.trained(FURTHER)), versions.recipe())
    assert second.snapshot == "structure of release 1"


def test_an_onnx_upstream_has_its_own_anyway(versions: Versions) -> None:
    version = register_graph(versions.world.tracking_uri, versions.name, trained_graph())
    line = versions.compressed(version, versions.recipe(device={"budgets": {"size_kb": 50}}))
    assert line.published
    assert versions.report(line).why[0] == "The structure is the upstream's own, as an ONNX file is not pruned."
    files = {item.path for item in Runs(versions.world.tracking_uri, versions.name).client.list_artifacts(line.run_id)}
    assert "structure.json" not in files
