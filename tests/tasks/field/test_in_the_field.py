"""In the field: counts on the pages of releases, which follow the devices and never become a reference of gates."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.field import Enrolments
from tasks.registry import EdgeVersion
from tests.tasks.field.conftest import Ingest
from tests.tasks.field.reporting_device import ReportingDevice, in_field
from tests.tasks.registry.shelf import DEVICE, Shelf

COUNT, HEARD = "edgewright.field.devices", "edgewright.field.heard"


@pytest.fixture
def shelf(tracking_uri: str, tmp_path: Path, request: pytest.FixtureRequest) -> Shelf:
    """A model with two releases for the profile of the devices."""
    name = re.sub(r"\W", "-", request.node.name).strip("-")
    shelf = Shelf(tracking_uri, name, tmp_path)
    shelf.release("1", 1, outputs=3)
    shelf.release("2", 2, outputs=4)
    return shelf


def tags_of(shelf: Shelf, release: int) -> Mapping[str, str]:
    (edge,) = (each for each in shelf.models.releases(DEVICE) if each.release == release)
    tags: Mapping[str, str] = shelf.models.client.get_model_version(edge.name, edge.version).tags
    return tags


def counts(shelf: Shelf) -> list[str | None]:
    return [tags_of(shelf, release).get(COUNT) for release in (1, 2)]


def test_a_device_that_changes_its_release_moves_from_one_count_to_the_other(
    box: Path, device: ReportingDevice, enrolments: Enrolments, ingest: Ingest, shelf: Shelf, tmp_path: Path
) -> None:
    other = ReportingDevice(tmp_path / "other")
    enrolments.enrol("oven", other.public)
    model = shelf.models.model
    device.put(box, 1, in_field(model, "1"))
    other.put(box, 1, in_field(model, "1", health="installed"))
    ingest()
    assert counts(shelf) == ["2", None]
    heard = tags_of(shelf, 1)[HEARD]
    assert heard.endswith("Z")
    device.put(box, 2, in_field(model, "2"))
    ingest()
    assert counts(shelf) == ["1", "1"]
    enrolments.remove("oven")
    ingest()
    assert counts(shelf) == ["0", "1"] and tags_of(shelf, 1)[HEARD] == heard


@pytest.mark.parametrize("health", ["damaged", "missing"])
def test_what_answers_nobody_is_not_in_the_field(
    box: Path, device: ReportingDevice, ingest: Ingest, shelf: Shelf, health: str
) -> None:
    device.put(box, 1, in_field(shelf.models.model, "1", health=health))
    ingest()
    assert counts(shelf) == [None, None]


def test_a_late_report_changes_no_count(box: Path, device: ReportingDevice, ingest: Ingest, shelf: Shelf) -> None:
    device.put(box, 2, in_field(shelf.models.model, "2"))
    ingest()
    device.put(box, 1, in_field(shelf.models.model, "1"))
    assert ingest().taken == {"press": 1}
    assert counts(shelf) == [None, "1"]


def test_a_release_that_the_registry_does_not_know_is_told(
    box: Path, device: ReportingDevice, ingest: Ingest, shelf: Shelf
) -> None:
    device.put(box, 1, in_field(shelf.models.model, "3"), in_field("nobody-has-it", "1"))
    ingested = ingest()
    assert [note for note in ingested.notes if "does not know it" in note] == [
        f"{shelf.models.model} release 3 for bench: reported by 1, and the registry does not know it",
        "nobody-has-it release 1 for bench: reported by 1, and the registry does not know it",
    ]
    assert (ingested.taken, ingested.refused, counts(shelf)) == ({"press": 1}, [], [None, None])


def test_what_is_in_the_field_becomes_neither_the_reference_nor_the_anchor(
    box: Path, device: ReportingDevice, ingest: Ingest, shelf: Shelf
) -> None:
    def seen() -> tuple[object, ...]:
        models = shelf.models
        return (
            models.deployed(DEVICE), models.previous(DEVICE), models.reference(DEVICE), models.anchor(DEVICE),
            models.releases(DEVICE), models.client.get_registered_model(models.releases(DEVICE)[0].name).aliases,
        )  # fmt: skip

    before = seen()
    device.put(box, 1, in_field(shelf.models.model, "1"))  # neither the deployed release nor the reference
    ingest()
    assert counts(shelf) == ["1", None] and seen() == before
    reference, deployed = shelf.models.reference(DEVICE), shelf.models.deployed(DEVICE)
    assert reference is not None and reference == deployed and reference.release == 2


def test_a_page_that_is_taken_over_by_a_rollback_has_no_count(
    box: Path, device: ReportingDevice, ingest: Ingest, shelf: Shelf
) -> None:
    device.put(box, 1, in_field(shelf.models.model, "1"))
    ingest()
    edge: EdgeVersion = next(each for each in shelf.models.releases(DEVICE) if each.release == 1)
    assert COUNT in tags_of(shelf, 1)
    assert not [key for key in shelf.models.page(edge).tags if key.startswith("edgewright.field.")]
