"""Students on the whole way: fitted to the device, held against what was pruned, refused early where they cannot be."""

import pytest

import flows.compress
from deployments.errors import ConfigurationError
from model_compression.errors import StudentError
from tasks.workspace import Workspace
from tests.end_to_end.tiny.variants import distil
from tests.flows.conftest import Variant
from tests.flows.ladders import ladder


def test_a_student_goes_to_the_gates_where_it_is_the_better_one(world: Workspace, variant: Variant) -> None:
    recipe = variant("student", {"distil": distil(depths=[1, 2])})
    (device,) = flows.compress.compress("tiny", "1", recipe, world).devices
    tried = {row["snapshot"]: row["accuracy"] for row in ladder(world, device.run_id) if row["outcome"] == "pass"}
    students = [name for name in tried if name.startswith("student depthwise_cnn")]
    assert len(students) == 1 and len(tried) == 2
    assert device.verdict == "pass"
    assert device.snapshot == max(tried, key=lambda name: tried[name])


def test_a_tighter_budget_makes_a_narrower_student(world: Workspace, variant: Variant) -> None:
    def width(name: str, size_kb: int) -> int:
        path = variant(name, {"distil": distil()}, {"budgets": {"size_kb": size_kb}})
        (device,) = flows.compress.compress("tiny", "1", path, world).devices
        (title,) = {row["snapshot"] for row in ladder(world, device.run_id) if row["snapshot"].startswith("student")}
        return int(title.split()[-1].split("x")[0])

    assert 8 <= width("tight", 11) < width("roomy", 60) == 64


def test_a_budget_that_no_student_keeps_leaves_the_pruned_one(world: Workspace, variant: Variant) -> None:
    path = variant("no-student", {"distil": distil(widths=[512])}, {"budgets": {"size_kb": 9}})
    (device,) = flows.compress.compress("tiny", "1", path, world).devices
    assert all(row["snapshot"].startswith("round") for row in ladder(world, device.run_id))


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
