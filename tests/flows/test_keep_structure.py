"""`keep_structure: prefer`: the next version has the structure of what is deployed, or the report says why not."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml

import flows.compress
from quality_gates.report import ReportContent
from tasks.compression import kept_structure
from tasks.outcomes import DeviceOutcome
from tasks.registry import EdgeModels, Runs, register_upstream
from tasks.workspace import Workspace
from tests.end_to_end.tiny import upstream
from tests.end_to_end.tiny.onnx_upstream import register_graph, trained_graph
from tests.end_to_end.tiny.variants import distil
from tests.flows.conftest import TINY, Variant

MODEL = "structured"
NETWORKS = (upstream.STEPS, upstream.STEPS + 20, upstream.STEPS + 40)
"""Steps of training of the versions 1 to 3, each of which goes on from the one before."""
WIDER = "4"
PRUNE: dict[str, Any] = yaml.safe_load((TINY / "recipes" / "tiny.yaml").read_text())["prune"]


@pytest.fixture(scope="module")
def registered(world: Workspace) -> Workspace:
    """Three versions of one architecture, each trained further, and a fourth of another."""
    networks = [*(upstream.trained(steps) for steps in NETWORKS), upstream.trained(width=24)]
    for network in networks:
        register_upstream(world.tracking_uri, MODEL, network, upstream.EXAMPLE, {})
    return world


class Answered:
    """Answers of versions on devices, and what the registry keeps of them."""

    def __init__(self, world: Workspace, variant: Variant) -> None:
        self.world, self.variant = world, variant
        self.runs = Runs(world.tracking_uri, MODEL)

    def recipe(self, device: str, profile: dict[str, Any] | None = None, **changes: Any) -> str:
        return self.variant(device, {"model": MODEL, "keep_structure": "prefer", **changes}, profile)

    def lines(self, version: str, recipe: str) -> tuple[DeviceOutcome, ...]:
        return flows.compress.compress(MODEL, version, recipe, self.world).devices

    def line(self, version: str, recipe: str) -> DeviceOutcome:
        (line,) = self.lines(version, recipe)
        return line

    def report(self, line: DeviceOutcome) -> ReportContent:
        return ReportContent.model_validate_json(self.runs.read_text(line.run_id, "report.json"))

    def structure(self, line: DeviceOutcome) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.runs.read_text(line.run_id, "structure.json"))
        return read

    def graph(self, line: DeviceOutcome, folder: Path) -> tuple[list[Any], dict[str, Any]]:
        """The nodes of a released file, and the shape and the type of each constant."""
        models = EdgeModels(self.world.tracking_uri, MODEL)
        (edge,) = (each for each in models.releases(line.device) if each.release == line.release)
        graph = onnx.load(models.fetch(edge, folder / str(line.release))).graph
        nodes = [(node.op_type, list(node.input), list(node.output)) for node in graph.node]
        return nodes, {each.name: (list(each.dims), each.data_type) for each in graph.initializer}


@pytest.fixture
def answered(registered: Workspace, variant: Variant) -> Answered:
    return Answered(registered, variant)


def test_versions_of_one_architecture_have_one_structure_and_another_gets_its_own(
    answered: Answered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deeper = PRUNE | {"max_rounds": 3}  # the fourth version is wider
    first = answered.line("1", answered.recipe("kept", prune=deeper, keep_structure=None))
    assert first.published and first.snapshot == "round 1"
    assert not any("structure" in sentence for sentence in answered.report(first).why)
    recipe = answered.recipe("kept", prune=deeper)
    with monkeypatch.context() as patched:
        patched.setattr(flows.compress, "prune", lambda *_: pytest.fail("another structure was searched"))
        second, third = (answered.line(version, recipe) for version in ("2", "3"))
    assert [(line.published, line.snapshot) for line in (second, third)] == [
        (True, "structure of release 1"),
        (True, "structure of release 2"),
    ]
    assert answered.graph(third, tmp_path) == answered.graph(second, tmp_path) == answered.graph(first, tmp_path)
    records = [answered.structure(line) for line in (first, second, third)]
    assert records[0]["removed"] == records[1]["removed"] == records[2]["removed"] != []
    assert [record["weights"] is None for record in records] == [True, False, False]
    assert answered.report(second).why[0] == (
        "The structure of release 1 was kept: version 2 without the same units holds every gate on validation."
    )
    told = answered.report(third)
    assert told.why[0] == (
        "The structure of release 2 was kept: version 3 without the same units, trained on from its weights, holds "
        "every gate on validation."
    )
    assert dict(told.lineage)["pruning"] == "the structure of release 2 was kept"
    assert [row.stage for row in told.ledger] == ["parent", "structure of release 2", "PTQ minmax"]
    assert [point.label for point in told.points if point.kind == "snapshot"] == ["structure of release 2"]
    wider = answered.line(WIDER, recipe)
    assert wider.published and wider.snapshot.startswith("round")
    assert answered.report(wider).why[0] == (
        "The structure was chosen anew, and not that of release 3: version 4 has another architecture (0.weight was "
        "16 x 1 x 3 x 3 and is 24 x 1 x 3 x 3)."
    )
    assert answered.graph(wider, tmp_path) != answered.graph(third, tmp_path)


def test_a_gate_that_fails_on_it_asks_for_another(answered: Answered) -> None:
    first = answered.line("1", answered.recipe("tight"))
    assert first.figures.candidate is not None
    assert answered.report(first).why[0] == "The structure was chosen anew: nothing is deployed on tight yet."
    budgets = {"budgets": {"size_kb": first.figures.candidate.size_bytes / 1000 - 0.5}}
    second = answered.line("2", answered.recipe("tight", budgets, prune=PRUNE | {"max_rounds": 3}))
    told = answered.report(second)
    assert told.why[0] == (
        "The structure was chosen anew: with that of release 1, PTQ minmax misses file size budget on validation."
    )
    assert (told.rungs[0].snapshot, told.rungs[0].outcome) == ("structure of release 1", "fail")
    assert second.published and second.snapshot.startswith("round")
    assert second.figures.candidate is not None
    assert second.figures.candidate.size_bytes < first.figures.candidate.size_bytes - 500


def test_each_device_keeps_its_own(answered: Answered) -> None:
    narrow = PRUNE | {"ratio": 0.5}
    alone = [
        answered.line("1", answered.recipe("one")),
        answered.line("1", answered.recipe("other", prune=narrow)),
    ]
    both = answered.lines("2", answered.recipe("one", devices=["one", "other"]))
    assert [line.snapshot for line in both] == ["structure of release 1"] * 2
    before, after = ([answered.structure(line)["removed"] for line in lines] for lines in (alone, both))
    assert before[0] != before[1] and after == before


def test_a_student_is_followed_by_one_of_the_same_architecture(answered: Answered, tmp_path: Path) -> None:
    damaging = PRUNE | {"ratio": 0.5, "fine_tune": PRUNE["fine_tune"] | {"learning_rate": 1e-9}}
    recipe = answered.recipe("students", {"budgets": {"size_kb": 10}}, prune=damaging, distil=distil())
    first = answered.line("1", recipe)
    assert first.published and first.snapshot.startswith("student depthwise_cnn")
    roomy = answered.recipe("students", {"budgets": {"size_kb": 60}}, prune=damaging, distil=distil())
    second = answered.line("2", roomy)
    assert second.published and second.snapshot == first.snapshot
    assert answered.report(second).why[0] == (
        "The structure of release 1 was kept: the same student, distilled from version 2, trained on from its weights, "
        "holds every gate on validation."
    )
    assert [row.stage for row in answered.report(second).ledger] == ["parent", first.snapshot, "PTQ minmax"]
    assert answered.graph(second, tmp_path) == answered.graph(first, tmp_path)


def test_kills_on_the_way_train_nothing_again(answered: Answered, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = answered.recipe("killed")
    answered.line("1", recipe)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for step in ("judge", "record_line"):  # before the look at the test rows, and after the alias was moved
        with monkeypatch.context() as patched:
            patched.setattr(flows.compress, step, killed)
            with pytest.raises(KeyboardInterrupt):
                answered.line("2", recipe)
        monkeypatch.setattr(kept_structure, "fine_tune_with_parent", lambda *_: pytest.fail("it was trained again"))
    again = answered.line("2", recipe)
    assert again.published and (again.snapshot, again.release) == ("structure of release 1", 2)


def test_an_onnx_upstream_has_its_own_anyway(registered: Workspace, variant: Variant) -> None:
    model = "structured-graph"
    version = register_graph(registered.tracking_uri, model, trained_graph())
    recipe = variant("graph", {"model": model, "keep_structure": "prefer"}, {"budgets": {"size_kb": 50}})
    (line,) = flows.compress.compress(model, version, recipe, registered).devices
    runs = Runs(registered.tracking_uri, model)
    told = ReportContent.model_validate_json(runs.read_text(line.run_id, "report.json"))
    assert line.published and told.why[0] == "The structure is the upstream's own, as an ONNX file is not pruned."
    assert "structure.json" not in {item.path for item in runs.client.list_artifacts(line.run_id)}
