"""Rollback: the very file of then as a new release, a hold on what was left, and never the same way twice."""

import errno
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle import read_bundle
from quality_gates.errors import ApprovalError
from tasks.delivery import FolderDestination, lift_hold, recover, roll_back
from tasks.delivery import releases as protocol
from tasks.delivery.claims import Claim
from tasks.delivery.rollback import release_before
from tasks.errors import Held, Overtaken, PublishError, RegistryError, SystemFailure
from tasks.registry import EdgeModels, EdgeVersion, Lineage, Rollback
from tasks.registry import edge_versions as registered
from tasks.workspace import Workspace
from tests.edge_runtime.models import linear_model
from tests.tasks.delivery.counter import Counter, kept_folders, register
from tests.tasks.tiny import FEATURES, job

ADA: dict[str, Any] = {"by": "Ada", "reason": "it fails at night"}


@pytest.fixture
def shop(workspace: Workspace, tmp_path: Path, request: pytest.FixtureRequest) -> Counter:
    """A model of each test's own, of which version 1 is release 1."""
    name = str(request.node.name).replace("[", "-").rstrip("]")
    first = Counter(job(workspace, name, "1"), linear_model(tmp_path / "v1.onnx", FEATURES, 11))
    first.keep_records()
    register(workspace, name)
    first.publish()
    return first


def published(shop: Counter, version: str) -> Counter:
    """Publish another version with its records."""
    counter = shop.other(version)
    counter.keep_records()
    counter.publish()
    return counter


def back(shop: Counter, to: str | None = None, **changes: Any) -> EdgeVersion:
    return roll_back(shop.job.workspace, shop.job.model, "bench", to=to, **{**ADA, **changes})


def deployed(shop: Counter) -> tuple[str, int]:
    edge = shop.deployed()
    assert edge is not None
    return edge.source_version, edge.release


def held(shop: Counter) -> list[tuple[str, int, str]]:
    return [(hold.version, hold.release, hold.by) for hold in shop.models.holds("bench")]


def bundle_of(shop: Counter, release: int) -> Path:
    return next(path for path in shop.bundles() if read_bundle(path).manifest.lineage["release"] == str(release))


def test_the_file_of_then_becomes_a_new_release_and_what_was_left_is_held(shop: Counter) -> None:
    published(shop, "2")
    edge = back(shop)
    assert deployed(shop) == ("1", 3) and edge.passed and held(shop) == [("2", 2, "Ada")]
    before, now = (read_bundle(bundle_of(shop, number)) for number in (1, 3))
    assert now.entry_path.read_bytes() == before.entry_path.read_bytes() == shop.file.read_bytes()
    added = {key: text for key, text in now.manifest.lineage.items() if key not in before.manifest.lineage}
    assert added.pop("rolled_back_on").endswith(" UTC")
    assert added == {
        "rolled_back_from": "2", "restored_release": "1", "rolled_back_by": "Ada",
        "rollback_reason": "it fails at night",
    }  # fmt: skip
    assert now.manifest.session == before.manifest.session
    page = shop.models.client.get_model_version(edge.name, edge.version)
    assert page.description is not None
    assert page.description.startswith("Rolled back from release 2 to release 1 by Ada on ")
    assert page.description.endswith("words") and page.tags["edgewright.rolled_back_by"] == "Ada"
    previous = shop.models.previous("bench")
    assert previous is not None and previous.release == 2
    assert len(shop.bundles()) == 3


def test_a_second_rollback_goes_further_back_and_never_to_what_was_left(shop: Counter) -> None:
    published(shop, "2")
    published(shop, "3")
    assert back(shop).source_version == "2"
    assert back(shop).source_version == "1"
    assert held(shop) == [("3", 3, "Ada"), ("2", 4, "Ada")]
    with pytest.raises(PublishError, match="expected a release before release 5 that nobody has left or holds, got"):
        back(shop)
    assert deployed(shop) == ("1", 5)


def test_a_version_can_be_named_also_one_that_is_held(shop: Counter) -> None:
    published(shop, "2")
    published(shop, "3")
    assert back(shop, "1").source_version == "1" and held(shop) == [("3", 3, "Ada")]
    assert back(shop, "3").source_version == "3" and held(shop) == [("1", 4, "Ada")]
    assert deployed(shop) == ("3", 5)
    with pytest.raises(PublishError, match="expected another version than the deployed one, got 3, which is deployed"):
        back(shop, "3")
    with pytest.raises(PublishError, match="a version that was released there, got 7; choose one of 1, 2, 3, or"):
        back(shop, "7")


def test_a_device_without_a_release_has_nothing_to_go_back_from(shop: Counter) -> None:
    with pytest.raises(PublishError, match="expected a release to go back from, got nothing deployed"):
        roll_back(shop.job.workspace, shop.job.model, "camera", to=None, **ADA)
    with pytest.raises(PublishError, match="expected a release before release 1"):
        back(shop)
    with pytest.raises(ApprovalError, match="expected a reason for the rollback"):
        back(shop, reason=" ")
    assert held(shop) == [] and deployed(shop) == ("1", 1)


def test_a_held_version_is_published_by_nobody_until_it_is_lifted(shop: Counter) -> None:
    second = published(shop, "2")
    back(shop)
    claims = len(second.destination.claims(shop.job.model, "bench"))
    with pytest.raises(
        Held, match=r"got one that Ada holds since .* \(it fails at night\); register a newer version, or"
    ):
        second.publish(back=True)
    assert deployed(shop) == ("1", 3)
    ends = [claim.end for claim in second.destination.claims(shop.job.model, "bench")]
    assert len(ends) == claims + 1 and ends[-1] == "abandoned"  # it was refused under its claim
    (lifted,) = lift_hold(shop.job.workspace, shop.job.model, "bench", version=None, by="Bo", reason="mended")
    assert lifted.version == "2" and held(shop) == []
    left = next(each for each in shop.models.releases("bench") if each.release == 2)
    tags = shop.models.client.get_model_version(left.name, left.version).tags
    assert tags["edgewright.hold_lifted"].startswith("by Bo on ") and tags["edgewright.hold_lifted"].endswith(
        ": mended"
    )
    second.publish()
    assert deployed(shop)[0] == "2"
    with pytest.raises(RegistryError, match="expected a version to be held, got none"):
        lift_hold(shop.job.workspace, shop.job.model, "bench", version=None, by="Bo", reason="mended")


def test_a_newer_version_lifts_the_hold(shop: Counter) -> None:
    published(shop, "2")
    back(shop)
    published(shop, "3")
    assert deployed(shop) == ("3", 4) and held(shop) == []


def test_what_is_deployed_by_a_rollback_keeps_its_number_when_it_is_published_again(shop: Counter) -> None:
    published(shop, "2")
    back(shop)
    bundle_of(shop, 3).unlink()
    edge = shop.publish()
    assert (edge.release, edge.rollback is not None) == (3, True)
    assert read_bundle(bundle_of(shop, 3)).manifest.lineage["rolled_back_by"] == "Ada"
    assert held(shop) == [("2", 2, "Ada")]


def lose(shop: Counter) -> None:
    """Remove the file that is kept with the run of release 1."""
    assert kept_folders(shop, lose=True)


def test_a_file_that_was_lost_comes_from_its_bundle_and_is_kept_again(shop: Counter, tmp_path: Path) -> None:
    published(shop, "2")
    first = next(each for each in shop.models.releases("bench") if each.release == 1)
    lose(shop)
    with pytest.raises(SystemFailure, match="expected its file in the registry"):
        shop.models.fetch(first, tmp_path / "lost")
    edge = back(shop)
    assert shop.models.fetch(edge, tmp_path / "found").read_bytes() == shop.file.read_bytes()
    assert read_bundle(bundle_of(shop, 3)).entry_path.read_bytes() == shop.file.read_bytes()


def test_what_is_left_may_have_lost_its_records(shop: Counter) -> None:
    second = published(shop, "2")
    shop.models.client.log_text(second.candidate.run, "lost", "recipe.json")
    assert back(shop).source_version == "1"


def test_a_file_that_is_nowhere_leaves_everything_as_it_was(shop: Counter) -> None:
    published(shop, "2")
    lose(shop)
    bundle_of(shop, 1).unlink()
    with pytest.raises(SystemFailure, match="expected its file in the registry"):
        back(shop)
    assert held(shop) == [] and deployed(shop) == ("2", 2)


def test_a_verdict_that_was_changed_is_not_published_with(shop: Counter) -> None:
    published(shop, "2")
    shop.keep_records("fail")
    with pytest.raises(ApprovalError, match="expected the verdict that it was released with, got one that differs"):
        back(shop)
    assert held(shop) == [] and deployed(shop) == ("2", 2)


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("owner", "point"),
    [
        (EdgeModels, "hold"), (FolderDestination, "claim"), (FolderDestination, "write"), (FolderDestination, "settle"),
        (EdgeModels, "release"),
    ],
)  # fmt: skip
def test_what_stops_on_the_way_is_completed_by_saying_it_again(
    shop: Counter, monkeypatch: pytest.MonkeyPatch, owner: type, point: str
) -> None:
    published(shop, "2")
    with monkeypatch.context() as broken:
        broken.setattr(owner, point, die)
        broken.setattr(protocol.Releases, "given_up_on_error", lambda *_: nullcontext())  # a kill runs no handler
        with pytest.raises(KeyboardInterrupt):
            back(shop)
    assert deployed(shop)[0] == "2"
    monkeypatch.setattr(Claim, "is_dead", lambda *_: True)  # as after a kill
    edge = back(shop)
    assert edge.source_version == "1" and held(shop) == [("2", 2, "Ada")]
    released = [claim for claim in shop.destination.claims(shop.job.model, "bench") if claim.end == "released"]
    assert len(released) == 3  # two versions and one rollback


@pytest.mark.parametrize("point", ["edge_runtime.bundle.writer.put_blob", "tasks.delivery.FolderDestination.claim"])
def test_a_full_destination_is_told_with_the_hold_that_stands(
    shop: Counter, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    published(shop, "2")
    with monkeypatch.context() as broken:
        broken.setattr(point, full_disk)
        with pytest.raises(SystemFailure, match="No space left") as caught:
            back(shop, to="1")
    assert deployed(shop) == ("2", 2) and held(shop) == [("2", 2, "Ada")]
    assert str(caught.value).endswith(
        "By now version 2 is held on bench and still deployed: say the same rollback again once the cause is cured, or "
        f"lift the hold with edgewright hold lift {shop.job.model} --device bench --by NAME --reason WHY"
    )
    assert back(shop, to="1").source_version == "1"


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_rollback_that_others_completed_is_not_done_twice(shop: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    published(shop, "2")
    published(shop, "3")
    with monkeypatch.context() as broken:
        broken.setattr(EdgeModels, "release", die)
        with pytest.raises(KeyboardInterrupt):
            back(shop)
    recover(shop.context)
    assert deployed(shop) == ("2", 4)
    assert back(shop).release == 4  # the same one is completed
    assert back(shop).source_version == "1"  # and this is another


def test_of_two_rollbacks_at_once_one_is_published(shop: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    published(shop, "2")
    hold, fired = EdgeModels.hold, list[EdgeVersion]()

    def rival(self: EdgeModels, device: str, given: registered.Hold) -> None:
        hold(self, device, given)
        if given.by == "Ada" and not fired:
            fired.append(back(shop, by="Grace"))
            hold(self, device, given)

    monkeypatch.setattr(EdgeModels, "hold", rival)
    with pytest.raises(Overtaken, match="expected release 2 to be deployed still, got release 3 of version 1"):
        back(shop)
    assert fired and deployed(shop) == ("1", 3) and held(shop) == [("2", 2, "Grace")]
    monkeypatch.undo()
    with pytest.raises(PublishError, match="expected a release before release 3"):
        back(shop)  # it has ended: nobody takes it for one that was begun


def test_the_version_that_is_left_is_left_also_where_it_was_published_once_more(
    shop: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(shop, "2")
    anew = Counter(replace(shop.job, version="2"), shop.other("9").file)
    anew.keep_records()
    hold, fired = EdgeModels.hold, list[EdgeVersion]()

    def late(self: EdgeModels, device: str, given: registered.Hold) -> None:
        if not fired:
            fired.append(anew.publish())  # it had looked for holds before there was one
        hold(self, device, given)

    monkeypatch.setattr(EdgeModels, "hold", late)
    edge = back(shop)
    assert fired and (edge.source_version, edge.release) == ("1", 4)
    assert held(shop) == [("2", 3, "Ada")]


def release(number: int, file: str, back_from: tuple[int, int] | None = None) -> EdgeVersion:
    """A release of a file, whose first character is its upstream version; rolled back from one release to another."""
    rollback = None if back_from is None else Rollback(*back_from, "Ada", "then", "so")
    origin = Lineage(file[0], "m", "r", "d", file)
    return EdgeVersion("m-bench", str(number), origin, file, number, passed=True, rollback=rollback)


CHAINS: dict[str, tuple[list[EdgeVersion], int | None]] = {
    "the one before": ([release(1, "1"), release(2, "2")], 1),
    "none before": ([release(1, "1")], None),
    "further back": ([release(1, "1"), release(2, "2"), release(3, "3"), release(4, "2", (3, 2))], 1),
    "once more": (
        [release(1, "1"), release(2, "2"), release(3, "3"), release(4, "2", (3, 2)), release(5, "1", (4, 1))], None,
    ),
    "of a newer version": ([release(1, "1"), release(2, "2"), release(3, "1", (2, 1)), release(4, "3")], 3),
    "over what was left": (
        [release(1, "1"), release(2, "2"), release(3, "1", (2, 1)), release(4, "3"), release(5, "1", (4, 3))], None,
    ),
    "an older file of one version": ([release(1, "1a"), release(2, "1b")], 1),
    "a circle that somebody made": ([release(1, "1"), release(2, "2", (2, 2))], 1),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_the_release_before_is_the_last_that_nobody_left(name: str) -> None:
    releases, expected = CHAINS[name]
    found = release_before(releases[-1], releases, [])
    assert (None if found is None else found.release) == expected


def test_releases_of_held_versions_are_passed_over() -> None:
    releases = [release(1, "1"), release(2, "2a"), release(3, "2b")]
    assert release_before(releases[-1], releases, []) == releases[1]
    assert release_before(releases[-1], releases, ["2"]) == releases[0]
