"""What `edgewright up` and `units` say and refuse, as far as it needs no server."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.errors import ConfigurationError
from deployments.recipe import shipped_recipes
from flows.cli import main
from flows.services import service_commands
from flows.services.given_recipes import checked_recipes
from flows.services.installation import Installation
from flows.services.site import write_site
from tests.flows.services.sites import site_of


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and the directory that commands are called in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(service_commands, "HOME", tmp_path / "home")
    return tmp_path / "home"


def ends(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Return the exit code of a command."""
    monkeypatch.setattr("sys.argv", ["edgewright", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_recipes_are_absolute_paths_and_shipped_ones_keep_their_names(home: Path) -> None:
    (recipe,) = (path for path in shipped_recipes() if path.stem == "digits")
    mine = shutil.copy(recipe, home.parent / "mine.yaml")
    assert checked_recipes(["mine.yaml"]) == (str(mine),)
    (home.parent / "digits").mkdir()  # a folder of the name hides no shipped recipe
    assert checked_recipes(["digits"]) == ("digits",)
    with pytest.raises(ConfigurationError, match="expected a name that no other recipe of digits has, got digits"):
        checked_recipes(["digits", "mine.yaml"])


@pytest.mark.parametrize("command", ["up", "units"])
def test_a_recipe_that_is_not_there_is_told_before_anything_is_written(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert ends(monkeypatch, command, "--recipe", "digits", "--recipe", "recipes/mine.yaml") == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: recipes/mine.yaml: expected the path of a recipe") and not said.out
    assert not list(home.parent.iterdir())


def test_a_recipe_of_the_last_time_that_is_gone_is_told_before_anything_starts(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installation = Installation(home)
    write_site(installation.folder, replace(site_of(home), recipes=(str(home / "gone.yaml"),)))
    assert ends(monkeypatch, "up") == 2
    assert "gone.yaml: expected the path of a recipe" in capsys.readouterr().err
    assert not installation.is_running() and not list(installation.folder.glob("*.log"))
