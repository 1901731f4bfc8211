"""The anchor: named once, moved by a person alone, and lost rather than moved by itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.errors import AnchorLost, RegistryError
from tasks.registry import Anchor, EdgeVersion, edge_name
from tests.tasks.registry.shelf import DEVICE, Shelf


@pytest.fixture
def shelf(tracking_uri: str, tmp_path: Path, request: pytest.FixtureRequest) -> Shelf:
    return Shelf(tracking_uri, request.node.name, tmp_path)


def alias(shelf: Shelf) -> str:
    name = edge_name(shelf.models.model, DEVICE)
    return str(shelf.models.client.get_model_version_by_alias(name, "anchor").version)


def moved(shelf: Shelf, release: int) -> Anchor:
    return shelf.models.set_anchor(DEVICE, release, by="Ann", when="2026-11-26", reason="new sensors")


def lost(shelf: Shelf) -> str:
    with pytest.raises(AnchorLost) as caught:
        shelf.models.anchor(DEVICE)
    return str(caught.value)


def test_the_first_release_that_passed_is_the_anchor_until_a_person_moves_it(shelf: Shelf) -> None:
    assert shelf.models.anchor(DEVICE) is None
    shelf.release("1", 1, verdict="overridden")
    assert shelf.models.anchor(DEVICE) is None
    second = shelf.release("2", 2)
    shelf.release("3", 3)
    assert shelf.models.anchor(DEVICE) == Anchor(second)
    assert alias(shelf) == second.version


def test_a_person_moves_the_anchor_and_its_page_says_who_when_and_why(shelf: Shelf) -> None:
    shelf.release("1", 1)
    second = shelf.release("2", 2)
    anchor = moved(shelf, 2)
    assert shelf.models.anchor(DEVICE) == anchor == Anchor(second, "Ann", "2026-11-26", "new sensors")
    assert anchor.sentence == "release 2 of version 2, set by Ann on 2026-11-26: new sensors"
    shelf.release("3", 3)
    assert shelf.models.anchor(DEVICE) == anchor
    tags = shelf.models.client.get_model_version(second.name, second.version).tags
    assert (tags["edgewright.anchor_by"], tags["edgewright.anchor_reason"]) == ("Ann", "new sensors")


@pytest.mark.parametrize(
    ("release", "words"),
    [(2, "got release 2, which was published against them"), (7, "expected release 7 to be there, got releases 1, 2")],
)
def test_the_anchor_moves_to_no_release_that_is_missing_or_did_not_pass(shelf: Shelf, release: int, words: str) -> None:
    first = shelf.release("1", 1)
    shelf.release("2", 2, verdict="overridden")
    with pytest.raises(RegistryError, match=words):
        moved(shelf, release)
    assert shelf.models.anchor(DEVICE) == Anchor(first)


def test_a_release_that_is_being_decided_is_no_anchor_unless_a_person_chose_it(shelf: Shelf) -> None:
    first = shelf.release("1", 1)
    assert shelf.models.anchor(DEVICE, without=1) is None
    assert shelf.models.anchor(DEVICE, without=2) == Anchor(first)
    anchor = moved(shelf, 1)
    assert shelf.models.anchor(DEVICE, without=1) == anchor


def test_a_way_back_under_the_key_of_the_anchor_is_held_against_the_anchor(shelf: Shelf) -> None:
    first = shelf.release("1", 1)
    shelf.release("2", 2)
    back = shelf.release("1", 3)
    assert back.run_key == first.run_key
    assert shelf.models.anchor(DEVICE, without=3) == Anchor(first)
    assert shelf.models.reference(DEVICE, without=3) != back


def remove_alias(shelf: Shelf, _: EdgeVersion) -> None:
    shelf.models.client.delete_registered_model_alias(edge_name(shelf.models.model, DEVICE), "anchor")


def move_alias(shelf: Shelf, _: EdgeVersion) -> None:
    shelf.models.client.set_registered_model_alias(edge_name(shelf.models.model, DEVICE), "anchor", "3")


def delete(shelf: Shelf, anchor: EdgeVersion) -> None:
    shelf.models.client.delete_model_version(anchor.name, anchor.version)


def override(shelf: Shelf, anchor: EdgeVersion) -> None:
    shelf.models.client.set_model_version_tag(anchor.name, anchor.version, "edgewright.verdict", "overridden")


def replace_file(shelf: Shelf, anchor: EdgeVersion) -> None:
    shelf.models.client.set_model_version_tag(anchor.name, anchor.version, "edgewright.file_sha256", "0" * 64)


def remove_record(shelf: Shelf, anchor: EdgeVersion) -> None:
    shelf.models.client.delete_registered_model_tag(anchor.name, "edgewright.anchor")


def spoil_record(shelf: Shelf, anchor: EdgeVersion) -> None:
    shelf.models.client.set_registered_model_tag(anchor.name, "edgewright.anchor", "release 3")


LOSSES = [
    (remove_alias, "to name release {}, {}, got no release under it."),
    (move_alias, "to name release {}, {}, got release 3."),
    (delete, "got no such release."),
    (replace_file, "to be registered with its file"),
    (override, "to be one that passed, got it published against its gates."),
    (remove_record, "expected a record of the anchor, got none, though releases 1, 2, 3 passed."),
    (spoil_record, "in the tag `edgewright.anchor`, got text of another form."),
]


@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize(("damage", "words"), LOSSES)
def test_an_anchor_that_is_lost_stays_lost_until_a_person_names_one(
    shelf: Shelf, damage: Callable[[Shelf, EdgeVersion], None], words: str, chosen: bool
) -> None:
    releases = [shelf.release(str(number), number) for number in (1, 2, 3)]
    anchor = moved(shelf, 2) if chosen else Anchor(releases[0])
    damage(shelf, anchor.edge)
    told = lost(shelf)
    assert words.format(*anchor.sentence.split("release ")[1].split(", ", 1)) in told
    assert f"edgewright anchor set {shelf.models.model} {DEVICE} RELEASE --by NAME --reason TEXT" in told
    shelf.release("4", 4)
    assert lost(shelf).partition(", got")[0] == told.partition(", got")[0]
    again = moved(shelf, 4)
    assert shelf.models.anchor(DEVICE) == again
    assert alias(shelf) == again.edge.version


def test_an_alias_that_was_moved_to_an_earlier_choice_does_not_revive_its_reason(shelf: Shelf) -> None:
    for number in (1, 2, 3):
        shelf.release(str(number), number)
    moved(shelf, 3)
    moved(shelf, 2)
    move_alias(shelf, shelf.models.releases(DEVICE)[0])
    assert "to name release 2 of version 2, set by Ann on 2026-11-26: new sensors, got release 3." in lost(shelf)


def test_the_first_release_that_was_deleted_before_a_second_is_not_replaced(shelf: Shelf) -> None:
    delete(shelf, shelf.release("1", 1))
    assert "No release that passed is there to be named: restore it, or delete the tag" in lost(shelf)
    second = shelf.release("2", 2)
    assert "release 1, the first that passed its gates, to be registered" in lost(shelf)
    shelf.models.client.delete_registered_model_tag(second.name, "edgewright.anchor")
    assert "got none, though release 2 passed" in lost(shelf)


def test_the_record_that_was_deleted_before_a_release_passed_begins_anew(shelf: Shelf) -> None:
    first = shelf.release("1", 1)
    delete(shelf, first)
    remove_record(shelf, first)
    second = shelf.release("2", 2)
    assert shelf.models.anchor(DEVICE) == Anchor(second)


def test_a_release_that_was_killed_before_its_alias_is_named_when_it_is_repeated(shelf: Shelf) -> None:
    first = shelf.release("1", 1)
    remove_alias(shelf, first)
    assert lost(shelf)
    shelf.release("1", 1)
    assert shelf.models.anchor(DEVICE) == Anchor(first)
