"""Boxes from a registered model to its answer: judged by what is found, drawn, and refused before training."""

from typing import Any

import pytest
from torch import nn

import flows.compress
from deployments.errors import ConfigurationError
from model_compression.training import loop
from tasks.errors import PreflightError
from tasks.outcomes import read_report
from tasks.registry import Runs
from tasks.workspace import Workspace
from tests.end_to_end.tiny.variants import QAT, distil
from tests.flows import boxes
from tests.flows.conftest import Variant


def test_boxes_are_answered_and_a_worse_version_is_refused(world: Workspace, variant: Variant) -> None:
    recipe = variant("spots", boxes.recipe("spots") | {"ladder": [QAT]})
    first = boxes.register(world, "spots", boxes.trained())
    published = flows.compress.compress("spots", first, recipe, world)
    assert published.answer == "published", published.devices[0].reasons
    assert 0.6 < (published.devices[0].accuracy.candidate or 0) < 1
    report = read_report(Runs(world.tracking_uri, "spots"), published.devices[0].run_id)
    named = [f"{label} {measure}" for label in ("bright", "dark") for measure in ("recall", "precision")]
    assert [f"{row.name} {row.measure}" for row in report.overlaps] == named
    assert all(0.5 < (row.candidate or 0) <= 1 and 0.5 < (row.parent or 0) <= 1 for row in report.overlaps)
    assert report.drawn and report.flips_from == "validation" and not report.scores_are_shares
    for row in report.drawn:
        assert [picture.title for picture in row.pictures] == ["input", "target", "parent", "candidate"]
        assert row.candidate < row.parent
    refused = flows.compress.compress("spots", boxes.register(world, "spots", boxes.network(seed=5)), recipe, world)
    assert refused.answer == "refused"
    assert any("Mean score" in reason for reason in refused.devices[0].reasons)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop._Loop, "run", lambda *_: pytest.fail("training began"))
    monkeypatch.setattr(flows.compress, "prune", lambda *_: pytest.fail("pruning began"))


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("workload", "model", "keys", "error", "said"),
    [
        (boxes.Spots, boxes.network(4), {}, ConfigurationError, ("(rows, 4 + classes, height, width)", "4, 4, 4")),
        (boxes.Spots, boxes.network(7), {}, ConfigurationError, ("one for each of the 2 `labels`",)),
        (boxes.SpotsOfSmallCells, boxes.network(), {}, ConfigurationError, ("12 x 12 pixels of 4 x 4 cells",)),
        (boxes.SpotsInverted, boxes.network(), {}, ConfigurationError, ("boxes with x0 < x1 and y0 < y1", "of row ")),
        (boxes.SpotsOfOneLabel, boxes.network(5), {}, ConfigurationError, ("classes from 0 to 0", "`labels`, or -1")),
        (boxes.SpotsOfNoTask, boxes.network(), {}, ConfigurationError, ("class numbers (rows,)", '"detection"')),
        (boxes.SpotsOfBadBoxes, boxes.network(), {}, ConfigurationError, ("scores (n,)", "correct Workload.boxes")),
        (
            boxes.Spots, nn.Sequential(boxes.network(), nn.Sigmoid()), {}, PreflightError,
            ("expected logits", "without its sigmoid"),
        ),
        (boxes.Spots, boxes.network(), {"distil": distil()}, PreflightError, ("key `distil`", "(rows, 6, 4, 4)")),
        (
            boxes.Spots, boxes.network(), {"gates": [boxes.GATES[0] | {"metric": "recall", "of": "dark"}]},
            ConfigurationError, ("a metric that fits", "mean_score"),
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_ends_before_training(
    world: Workspace, variant: Variant, workload: Any, model: nn.Module, keys: Any, error: Any, said: tuple[str, ...]
) -> None:
    version = boxes.register(world, "unfit", model)
    with pytest.raises(error) as caught:
        flows.compress.compress("unfit", version, variant("unfit", boxes.recipe("unfit", workload) | keys), world)
    for words in said:
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
