"""Words of `edgewright up` and `units`, and what both refuse, as far as it needs no server."""

import os
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.errors import ConfigurationError
from deployments.recipe import shipped_recipes
from flows.cli import main
from flows.services import service_commands
from flows.services.given_recipes import checked_recipes
from flows.services.installation import Installation
from flows.services.service_states import ServiceState
from flows.services.site import Site, write_site
from flows.services.table import services
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


def _be_ready(_: Installation, site: Site, seen: Callable[[dict[str, ServiceState]], None]) -> None:
    states = dict[str, ServiceState]()
    for service in services(site):
        states[service.name] = ServiceState(service.name, "done" if service.once else "healthy")
        seen(states)


def test_a_recipe_of_the_last_time_that_is_gone_is_told_and_the_others_are_served(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served = list[Site]()

    def start(_: Installation, site: Site) -> bool:
        served.append(site)
        return True

    monkeypatch.setattr(Installation, "start", start)
    monkeypatch.setattr(Installation, "wait_until_ready", _be_ready)
    gone = str(home / "gone.yaml")
    write_site(Installation(home).folder, replace(site_of(home), recipes=(gone, "digits")))
    assert ends(monkeypatch, "up") == 0
    told = "The watcher starts nothing for it until that is mended."
    said = capsys.readouterr().out
    assert f"{gone}: expected the path of a recipe" in said and told in said
    assert [site.recipes for site in served] == [(gone, "digits")]


@pytest.mark.parametrize("started", [True, False])
def test_up_says_each_service_once_and_how_a_shell_works_with_them(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], started: bool
) -> None:
    monkeypatch.setattr(Installation, "start", lambda *_: started)
    monkeypatch.setattr(Installation, "wait_until_ready", _be_ready)
    (home.parent / "my recipes").mkdir()
    mine = shutil.copy(shipped_recipes()[-1], home.parent / "my recipes" / "mine.yaml")
    assert ends(monkeypatch, "up", "--recipe", str(mine), "--recipe", "digits") == 0
    said = capsys.readouterr().out
    for service in services(site_of(home)):
        assert said.count(f"  {service.name}: {'done' if service.once else 'healthy'}\n") == started
    assert "localhost" not in said
    lines = [line.removeprefix("  export ") for line in said.splitlines() if line.startswith("  export ")]
    variables = dict(word.split("=", 1) for line in lines for word in shlex.split(line))
    assert variables.pop("EDGEWRIGHT_RECIPES").split(os.pathsep) == [str(mine), "digits"]
    assert set(variables) == {"MLFLOW_TRACKING_URI", "PREFECT_API_URL", "EDGEWRIGHT_HOME", "EDGEWRIGHT_TARGET"}


def test_up_publishes_into_a_bucket_and_remembers_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Site] = []

    def start(self: Installation, site: Site) -> bool:
        served.append(site)
        write_site(self.folder, site)
        return True

    monkeypatch.setattr(Installation, "start", start)
    monkeypatch.setattr(Installation, "wait_until_ready", _be_ready)
    monkeypatch.setenv("EDGEWRIGHT_TARGET", "s3://bucket/prefix")
    assert ends(monkeypatch, "up") == 0
    monkeypatch.delenv("EDGEWRIGHT_TARGET")
    assert ends(monkeypatch, "up") == 0
    assert [site.published for site in served] == ["s3://bucket/prefix"] * 2
    assert served[0].target == home.resolve() / "target"
    (worker,) = (service for service in services(served[1]) if service.name == "worker")
    assert worker.environment["EDGEWRIGHT_TARGET"] == "s3://bucket/prefix"


@pytest.mark.usefixtures("home")
def test_up_without_recipes_leaves_the_variable_of_recipes_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Installation, "start", lambda *_: True)
    monkeypatch.setattr(Installation, "wait_until_ready", _be_ready)
    assert ends(monkeypatch, "up") == 0
    said = capsys.readouterr().out
    assert "MLFLOW_TRACKING_URI" in said and "EDGEWRIGHT_RECIPES" not in said
