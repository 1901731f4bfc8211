"""Students on the whole way: fitted to the device, held against what was pruned, refused early where they cannot be."""

import json
from pathlib import Path
from typing import Any

import pytest

import flows.compress
from deployments.errors import ConfigurationError
from model_compression.errors import StudentError
from tasks.registry import Runs
from tasks.workspace import Workspace
from tests.flows.conftest import Variant
from tests.flows.test_compress import QAT


def distil(**changes: Any) -> dict[str, Any]:
    fine_tune = QAT["fine_tune"] | {"epochs": 8, "learning_rate": 1e-2}
    return {"family": "depthwise_cnn", "widths": [8, 16, 32, 64], "depths": [1], "fine_tune": fine_tune} | changes


def ladder(world: Workspace, report: str) -> list[dict[str, Any]]:
    path = Runs(world.tracking_uri, "tiny").client.download_artifacts(report.split("/")[1], "ladder.json")
    table = json.loads(Path(path).read_text())
    return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]


def test_a_student_goes_to_the_gates_where_it_is_the_better_one(world: Workspace, variant: Variant) -> None:
    recipe = variant("student", {"distil": distil(depths=[1, 2])})
    (device,) = flows.compress.compress("tiny", "1", recipe, world).devices
    tried = {row["snapshot"]: row["accuracy"] for row in ladder(world, device.report) if row["outcome"] == "pass"}
    students = [name for name in tried if name.startswith("student depthwise_cnn")]
    assert len(students) == 1 and len(tried) == 2
    assert device.verdict == "pass"
    assert device.snapshot == max(tried, key=lambda name: tried[name])


def test_a_tighter_budget_makes_a_narrower_student(world: Workspace, variant: Variant) -> None:
    def width(name: str, size_kb: int) -> int:
        path = variant(name, {"distil": distil()}, {"budgets": {"size_kb": size_kb}})
        (device,) = flows.compress.compress("tiny", "1", path, world).devices
        (title,) = {row["snapshot"] for row in ladder(world, device.report) if row["snapshot"].startswith("student")}
        return int(title.split()[-1].split("x")[0])

    assert 8 <= width("tight", 11) < width("roomy", 60) == 64


def test_a_budget_that_no_student_keeps_leaves_the_pruned_one(world: Workspace, variant: Variant) -> None:
    path = variant("no-student", {"distil": distil(widths=[512])}, {"budgets": {"size_kb": 9}})
    (device,) = flows.compress.compress("tiny", "1", path, world).devices
    assert all(row["snapshot"].startswith("round") for row in ladder(world, device.report))


@pytest.mark.parametrize(
    ("family", "said"), [("text_net", "token numbers"), ("own", "expected build_student"), ("signal_net", "signals")]
)
def test_a_family_that_does_not_fit_stops_before_anything_is_trained(
    world: Workspace, variant: Variant, family: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.compress, "measure_baseline", lambda *_: pytest.fail("something was computed"))
    with pytest.raises((StudentError, ConfigurationError), match=said):
        flows.compress.compress(
            "tiny", "1", variant(f"family-{family}".replace("_", "-"), {"distil": distil(family=family)}), world
        )
