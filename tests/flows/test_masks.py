"""Masks from a registered model to its answer: judged by overlap, drawn in the report, refused before training."""

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
from tests.flows import masks
from tests.flows.conftest import Variant


@pytest.mark.parametrize("channels", [1, 2])
def test_masks_are_answered_and_a_worse_version_is_refused(world: Workspace, variant: Variant, channels: int) -> None:
    name = f"squares-{channels}"
    recipe = variant(name, masks.recipe(name) | {"ladder": [QAT]})
    first = masks.register(world, name, masks.trained(channels))
    published = flows.compress.compress(name, first, recipe, world)
    assert published.answer == "published", published.devices[0].reasons
    assert 0.6 < (published.devices[0].accuracy.candidate or 0) < 1
    report = read_report(Runs(world.tracking_uri, name), published.devices[0].run_id)
    assert [row.name for row in report.overlaps] == ["background", "square"]
    assert all(0.4 < (row.candidate or 0) < 1 and 0.4 < (row.parent or 0) < 1 for row in report.overlaps)
    assert report.drawn and report.flips_from == "validation" and not report.scores_are_shares
    for row in report.drawn:
        assert [picture.title for picture in row.pictures] == ["input", "target", "parent", "candidate"]
        assert row.candidate < row.parent
    second = masks.register(world, name, masks.network(channels, seed=5))
    refused = flows.compress.compress(name, second, recipe, world)
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
        (masks.Squares, masks.network(2, stride=2), {}, ConfigurationError, ("logits (rows, classes, 8, 8)", "4, 4")),
        (masks.Squares, masks.network(3), {}, ConfigurationError, ("a channel for each of the 2 `labels`",)),
        (masks.SquaresOfNoIgnored, masks.network(2), {}, ConfigurationError, ("from 0 to 1", "set `ignore_index`")),
        (masks.SquaresOfNoTask, masks.network(2), {}, ConfigurationError, ("class numbers (rows,)", '"segmentation"')),
        (
            masks.Squares, nn.Sequential(masks.network(1), nn.Sigmoid()), {}, PreflightError,
            ("expected logits", "without its sigmoid"),
        ),
        (masks.Squares, masks.network(2), {"distil": distil()}, PreflightError, ("key `distil`", "(rows, 2, 8, 8)")),
        (
            masks.Squares, masks.network(2), {"gates": [masks.GATES[0] | {"metric": "accuracy"}]}, ConfigurationError,
            ("a metric that fits", "mean_score"),
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_ends_before_training(
    world: Workspace, variant: Variant, workload: Any, model: nn.Module, keys: Any, error: Any, said: tuple[str, ...]
) -> None:
    version = masks.register(world, "unfit", model)
    with pytest.raises(error) as caught:
        flows.compress.compress("unfit", version, variant("unfit", masks.recipe("unfit", workload) | keys), world)
    for words in said:
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
