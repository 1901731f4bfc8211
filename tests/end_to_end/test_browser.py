"""A person opens MLflow in a browser, goes to the run of a device and reads the gate report.

Chromium is Debian's, driven by Playwright. Screenshots stay in `.edgewright/screenshots` for a person to look at.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

import flows.compress
from quality_gates.report import ReportContent, render_html
from tasks.delivery import approve_version
from tasks.outcomes import DeviceOutcome
from tasks.registry import Runs
from tasks.workspace import Workspace
from tests.end_to_end.tiny import upstream
from tests.end_to_end.tiny.variants import take_off_decorators, write_variant

if TYPE_CHECKING:
    from playwright.sync_api import Browser

playwright = pytest.importorskip("playwright.sync_api", reason="make test-browser installs it")

pytestmark = [pytest.mark.end_to_end, pytest.mark.browser, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / ".edgewright" / "screenshots"
SLOW_MS = 60_000
SHEET = 688  # what is left of A4 between the page's own margins, in pixels
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
]


@pytest.fixture(scope="module")
def chromium() -> str:
    """Path of the browser."""
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("expected Debian's browser, got none; sudo apt-get install chromium")
    return path


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator["Browser"]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def answered(mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Runs, list[DeviceOutcome]]:
    """One version, published on one device and refused on the other, on a real MLflow server."""
    take_off_decorators(monkeypatch)
    workspace = Workspace.at(tmp_path / "home", mlflow_server)
    version = upstream.register(mlflow_server)
    devices: list[DeviceOutcome] = []
    for name, budget in (("roomy", 9), ("tight", 2)):
        recipe = write_variant(tmp_path, name, device={"budgets": {"size_kb": budget}})
        devices += flows.compress.compress("tiny", version, recipe, workspace).devices
    return Runs(mlflow_server, "tiny"), devices


def test_the_report_is_read_in_mlflow(
    answered: tuple[Runs, list[DeviceOutcome]], mlflow_server: str, browser: "Browser"
) -> None:
    runs, devices = answered
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page = browser.new_page(viewport={"width": 1500, "height": 1300})
    for device, words in zip(devices, ("Published; the first model", "Refused; nothing is deployed"), strict=True):
        run = device.run_id
        page.goto(f"{mlflow_server}/#/experiments/{runs.experiment}/runs/{run}/artifacts")
        page.get_by_text("report.html", exact=True).first.click(timeout=SLOW_MS)
        report = page.frame_locator("iframe").first
        report.get_by_text(words).first.wait_for(timeout=SLOW_MS)
        headline = report.locator("h1#verdict")
        assert headline.inner_text().startswith("Pass" if device.published else "Fail")
        assert headline.is_visible()
        assert report.locator("svg.picture").count() >= 2
        assert report.get_by_role("heading", name="What each layer costs").count() == 1
        assert report.locator("table.layers tbody tr").count() == 3
        page.screenshot(path=SCREENSHOTS / f"mlflow-{device.device}.png")


def test_the_registered_model_says_why(
    answered: tuple[Runs, list[DeviceOutcome]], mlflow_server: str, browser: "Browser"
) -> None:
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    (published, _) = answered[1]
    page.goto(f"{mlflow_server}/#/models/tiny-{published.device}/versions/1")
    page.get_by_text("Published; the first model on this device.").first.wait_for(timeout=SLOW_MS)
    page.get_by_text("edgewright.verdict").first.wait_for(timeout=SLOW_MS)
    page.screenshot(path=SCREENSHOTS / "registered-model.png")
    page.get_by_role("link", name="The gate report").click()
    page.get_by_text("report.html", exact=True).first.wait_for(timeout=SLOW_MS)


@pytest.mark.parametrize(
    ("name", "width", "scheme"), [("phone", 390, "light"), ("small", 320, "dark"), ("desk", 1200, "dark")]
)
def test_the_page_itself_fits_a_phone_and_a_dark_room(
    answered: tuple[Runs, list[DeviceOutcome]], browser: "Browser", name: str, width: int,
    scheme: Literal["light", "dark"], tmp_path: Path,
) -> None:  # fmt: skip
    runs, devices = answered
    file = tmp_path / "report.html"
    file.write_text(runs.read_text(devices[1].run_id, "report.html"))
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1#verdict").is_visible()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    red, green, blue = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    )
    assert (red + green + blue > 600) is (scheme == "light")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"report-{name}.png", full_page=True)


def test_an_approval_is_read_in_the_report_and_in_the_registry(
    answered: tuple[Runs, list[DeviceOutcome]], mlflow_server: str, browser: "Browser", tmp_path: Path
) -> None:
    runs, (_, refused) = answered
    workspace = Workspace.at(tmp_path / "home", mlflow_server)
    words = {"name": "Ada Lovelace", "reason": "The press stands still.", "until": date(2999, 1, 1)}
    approve_version(workspace, "tiny", refused.version, refused.device, **words)  # type: ignore[arg-type]
    page = browser.new_page(viewport={"width": 1500, "height": 1300})
    run = refused.run_id
    page.goto(f"{mlflow_server}/#/experiments/{runs.experiment}/runs/{run}/artifacts")
    page.get_by_text("report.html", exact=True).first.click(timeout=SLOW_MS)
    report = page.frame_locator("iframe").first
    report.get_by_text("The press stands still.").first.wait_for(timeout=SLOW_MS)
    assert report.locator("h1#verdict").inner_text().startswith("Overridden")
    page.screenshot(path=SCREENSHOTS / "mlflow-overridden.png")
    page.goto(f"{mlflow_server}/#/models/tiny-{refused.device}/versions/1")
    page.get_by_text("Ada Lovelace").first.wait_for(timeout=SLOW_MS)
    page.screenshot(path=SCREENSHOTS / "registered-model-overridden.png")


def test_history_is_drawn_and_the_page_prints(
    answered: tuple[Runs, list[DeviceOutcome]], browser: "Browser", tmp_path: Path
) -> None:
    runs, (published, _) = answered
    content = ReportContent.model_validate_json(runs.read_text(published.run_id, "report.json"))
    *_, only = content.history  # the server keeps what the tests before this one left there
    later = only.model_copy(
        update={"version": str(int(only.version) + 1), "published": False, "now": "", "why": "Refused for the test."}
    )
    file = tmp_path / "history.html"
    told = tuple(replace(turns, failures={"deployed": "it crashed, " * 60}) for turns in content.turns)
    file.write_text(render_html(content.model_copy(update={"history": (only, later), "turns": told})))
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(file.as_uri())
    section = page.locator("section", has=page.get_by_role("heading", name="History on this device"))
    assert section.locator("svg.plot").count() == 3
    section.screenshot(path=SCREENSHOTS / "history.png")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": SHEET, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= SHEET
    assert page.locator("table.stories thead").last.is_visible()  # a sheet is no phone, whose tables are cards
    assert page.locator("table.heat").count() == 2
    page.pdf(path=SCREENSHOTS / "report.pdf")
    assert (SCREENSHOTS / "report.pdf").read_bytes().startswith(b"%PDF")
