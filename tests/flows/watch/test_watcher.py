"""Events that come together share a look, and a look that failed is not remembered."""

import asyncio
import shutil
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.watch.deliveries import RegistryEvent
from flows.watch.wanted_runs import Ensured
from flows.watch.watcher import Watcher
from tasks.errors import RegistryUnavailable
from tasks.planning import WantedRun

TINY = Path("tests/end_to_end/tiny/recipes/tiny.yaml")
TOLD = RegistryEvent("model_version.created", "tiny", "1")
NOBODY = "http://127.0.0.1:9"


class CountingWatcher(Watcher):
    """A watcher that counts its looks."""

    looks = 0

    async def _look(self, model: str | None) -> dict[WantedRun, Ensured]:
        self.looks += 1
        return await super()._look(model)


def watcher_of(tracking_uri: str) -> CountingWatcher:
    return CountingWatcher([TINY], tracking_uri)


def told(watcher: Watcher, times: int) -> list[str | BaseException]:
    """Tell a watcher of so many events at once."""

    async def together() -> list[str | BaseException]:
        return await asyncio.gather(*(watcher.told(TOLD) for _ in range(times)), return_exceptions=True)

    with temporary_settings({PREFECT_API_URL: f"{NOBODY}/api"}):
        return asyncio.run(together())


def test_events_that_come_together_share_a_look(tmp_path: Path) -> None:
    watcher = watcher_of(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert set(told(watcher, 100)) == {"0 runs started"}
    assert watcher.looks <= 2
    assert told(watcher, 1) == ["0 runs started"]
    assert watcher.looks >= 2


def test_a_second_recipe_of_one_name_is_told_once_and_starts_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    twin = tmp_path / "tiny.yaml"
    twin.write_text(TINY.read_text())
    shutil.copytree(TINY.parent.parent / "devices", tmp_path.parent / "devices", dirs_exist_ok=True)
    watcher = Watcher([TINY, twin], f"sqlite:///{tmp_path / 'mlflow.db'}")
    for _ in range(2):
        assert [path for path, _ in watcher._read()] == [str(TINY)]
    assert [f"{twin}: key `name`: expected a name that no other recipe" in text for text in caplog.messages] == [True]


def test_a_look_that_failed_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    watcher = watcher_of(NOBODY)
    for looks in (1, 2):
        answers = told(watcher, 3)
        assert [type(answer) for answer in answers] == [RegistryUnavailable] * 3
        assert watcher.looks == looks
