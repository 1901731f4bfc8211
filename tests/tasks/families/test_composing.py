"""A family composed of registered models: a registered model itself, which answers bit by bit as they do."""

from pathlib import Path

import numpy as np
import pytest
import torch

from deployments.recipe import FamilyRecipe, read_recipe
from deployments.workload import read_splits
from model_compression.families import backbone_and_heads
from model_compression.intake import rebuild
from tasks.families import FamilyRecord, compose
from tasks.job import Job
from tasks.registry import Upstream, register_upstream
from tasks.upstream import TorchParent, resolve
from tasks.workspace import Workspace
from tests.tasks.families.tiny_families import HEADS, WIDTH, Sum, members, model, recipe, register, trunk
from tests.tasks.tiny import FEATURES, example


def parent_of(path: Path, version: str, workspace: Workspace) -> TorchParent:
    """Read a version of a family as a run of `compress` does."""
    read = read_recipe(path)
    workload = read.load_workload()
    found = resolve.fn(Job(read.model, version, read, workload, read_splits(workload), workspace))
    assert isinstance(found, TorchParent)
    return found


@pytest.mark.usefixtures("registered_members")
def test_a_family_is_registered_and_answers_as_its_members(tmp_path: Path, workspace: Workspace) -> None:
    path = recipe(tmp_path, "family-answers", members())
    made = compose(path, workspace)
    assert (made.model, made.version) == ("family-answers", "1")
    rows = torch.randn(5, FEATURES)
    parent = parent_of(path, "1", workspace)
    wanted = torch.cat([model(outputs)(rows) for outputs in HEADS.values()], 1)
    with torch.no_grad():
        assert torch.equal(parent.build()(rows), wanted)
        backbone, heads = backbone_and_heads(rebuild(parent.exported), list(HEADS))
        for name, outputs in HEADS.items():
            assert torch.equal(heads[name](backbone(rows)), model(outputs)(rows))


@pytest.mark.usefixtures("registered_members")
def test_its_page_says_what_it_was_made_of(tmp_path: Path, workspace: Workspace) -> None:
    made = compose(recipe(tmp_path, "family-page", members()), workspace)
    upstream = Upstream(workspace.tracking_uri)
    record = FamilyRecord.of(upstream.tags(made.model, made.version))
    assert record == made.record and made.backbone is not None
    assert record.digest == made.backbone.digest
    assert [(each.name, each.model, each.version, each.outputs) for each in record.members] == [
        ("kind", "tiny-kind", "1", (3,)),
        ("site", "tiny-site", "1", (2,)),
    ]
    assert [each.identity for each in record.members] == [
        upstream.identity(each.model, each.version) for each in record.members
    ]


@pytest.mark.usefixtures("registered_members")
def test_the_same_members_are_registered_once(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe(tmp_path, "family-once", members())
    first = compose(path, workspace)
    monkeypatch.setattr(Upstream, "fetch", lambda *_: pytest.fail("fetched again"))
    again = compose(path, workspace)
    assert (again.version, again.record, again.backbone) == (first.version, first.record, None)
    assert Upstream(workspace.tracking_uri).versions("family-once") == ["1"]


def test_a_new_version_of_a_member_makes_a_new_version_with_the_same_backbone(
    tmp_path: Path, workspace: Workspace, tracking_uri: str
) -> None:
    written = [{**each, "model": f"moving-{each['name']}"} for each in members()]
    for name, outputs in HEADS.items():
        register(tracking_uri, f"moving-{name}", model(outputs))
    path = recipe(tmp_path, "family-moving", written)
    first = compose(path, workspace)
    head = model(HEADS["site"])
    with torch.no_grad():
        head[1].weight.add_(1)  # type: ignore[index]
    assert register(tracking_uri, "moving-site", head) == "2"
    second = compose(path, workspace)
    assert (first.version, second.version) == ("1", "2")
    assert [each.version for each in second.record.members] == ["1", "2"]
    assert second.record.digest == first.record.digest
    back = compose(path, workspace, {"site": "1"})
    assert (back.version, back.record) == ("3", first.record)


def test_members_of_two_inputs_are_a_family(tmp_path: Path, workspace: Workspace, tracking_uri: str) -> None:
    written = [{**each, "model": f"sums-{each['name']}"} for each in members(kind="Pairs", site="Pairs")]
    for name, outputs in HEADS.items():
        register_upstream(tracking_uri, f"sums-{name}", Sum(outputs).eval(), (example(), example()), {})
    path = recipe(tmp_path, "family-sums", written)
    made = compose(path, workspace)
    rows = (torch.randn(5, FEATURES), torch.randn(5, FEATURES))
    wanted = torch.cat([Sum(outputs)(*rows) for outputs in HEADS.values()], 1)
    parent = parent_of(path, made.version, workspace)
    assert parent.names == ("left", "right")
    with torch.no_grad():
        assert torch.equal(parent.build()(*rows), wanted)


def test_a_backbone_that_holds_little_is_warned_of(
    tmp_path: Path, workspace: Workspace, tracking_uri: str, warned: list[str]
) -> None:
    for name, outputs in HEADS.items():
        shared = trunk()
        torch.manual_seed(outputs)  # the layers behind differ
        own = torch.nn.Sequential(shared, torch.nn.Linear(WIDTH, 4 * WIDTH), torch.nn.Linear(4 * WIDTH, outputs))
        register(tracking_uri, f"large-{name}", own.eval())
    path = recipe(tmp_path, "family-little", [{**each, "model": f"large-{each['name']}"} for each in members()])
    made = compose(path, workspace)
    assert made.backbone is not None and max(made.backbone.share.values()) < 0.5
    (said,) = (each for each in warned if "backbone" in each)
    assert f"got {100 * made.backbone.share['kind']:.0f} % of `kind`, as the members part behind its `relu`" in said


@pytest.mark.usefixtures("registered_members")
def test_a_declared_end_of_the_backbone_is_taken(tmp_path: Path, workspace: Workspace) -> None:
    made = compose(recipe(tmp_path, "family-declared", members(), backbone="0.0"), workspace)
    whole = compose(recipe(tmp_path, "family-found", members()), workspace)
    assert made.record.declared == "0.0" and made.record.digest != whole.record.digest
    read = read_recipe(recipe(tmp_path, "family-declared", members(), backbone="0.0"))
    assert isinstance(read, FamilyRecipe) and read.backbone == "0.0"
    assert np.isclose(sum(made.backbone.share.values()), sum(whole.backbone.share.values()))  # type: ignore[union-attr]
