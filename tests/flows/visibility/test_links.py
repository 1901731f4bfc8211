"""Places of reports: a link where MLflow has pages, the command elsewhere."""

import pytest

from flows.visibility.links import PAGES, ReportPlaces
from tests.flows.visibility.outcomes import line

CAMERA = line("camera", published=True)


@pytest.mark.parametrize("pages", ["https://mlflow.example/", "https://me:geheim@mlflow.example"])
def test_a_link_leads_to_the_pages_that_people_open_and_holds_no_login(
    pages: str, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PAGES, pages)
    places = ReportPlaces.of(registry, "digits")
    expected = f"https://mlflow.example/#/experiments/{places.experiment}/runs/run-camera/artifacts/report.html"
    assert places.link(CAMERA) == places.in_words(CAMERA) == expected


def test_a_database_has_no_pages(registry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PAGES, raising=False)
    places = ReportPlaces.of(registry, "digits")
    assert places.link(CAMERA) is None
    assert places.in_words(CAMERA) == "edgewright report digits/3 --device camera (run run-camera)"
