"""Events that come together share a look, and a look that failed is not remembered."""

import asyncio
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.watch import watcher as watcher_module
from flows.watch.deliveries import RegistryEvent
from flows.watch.process_label import LABEL, TIMES
from flows.watch.wanted_runs import Ensured
from flows.watch.watcher import Watcher
from tasks.errors import RegistryUnavailable
from tasks.planning import WantedRun
from tasks.processes import Process
from tasks.registry import Runs
from tasks.registry.run_owner import OWNER, owner_tag
from tests.end_to_end.tiny.variants import write_variant

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
    return CountingWatcher([TINY], tracking_uri, Path("no home"))


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
    watcher = Watcher([TINY, twin], f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path)
    for _ in range(2):
        assert [path for path, _ in watcher._read()] == [str(TINY)]
    assert [f"{twin}: key `name`: expected a name that no other recipe" in text for text in caplog.messages] == [True]


def test_a_second_recipe_that_follows_an_alias_on_one_device_is_told_and_starts_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipes = [
        Path(write_variant(tmp_path / alias, "tiny", {"name": alias, "follow": {"alias": alias}}))
        for alias in ("champion", "challenger")
    ]
    watcher = Watcher(recipes, f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path)
    assert [path for path, _ in watcher._read()] == [str(recipes[0])]
    assert "one recipe that follows an alias of tiny on the device tiny, got champion and challenger" in caplog.text


@pytest.mark.parametrize(
    ("changes", "flags"), [({}, ""), ({"back": True}, " --back"), ({"again": True, "back": True}, " --again --back")]
)
def test_a_person_is_told_the_command_that_asks_for_the_very_run(changes: dict[str, bool], flags: str) -> None:
    wanted = WantedRun("tiny", "1", "tiny.yaml", "the alias champion names version 1", "champion after 2")
    wanted = replace(wanted, back=changes.get("back", False), again=changes.get("again", False))
    assert watcher_module._by_hand(wanted) == f"edgewright compress tiny 1 --recipe tiny.yaml{flags}"


def test_a_look_that_failed_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    watcher = watcher_of(NOBODY)
    for looks in (1, 2):
        answers = told(watcher, 3)
        assert [type(answer) for answer in answers] == [RegistryUnavailable] * 3
        assert watcher.looks == looks


def test_what_dead_processes_left_open_is_closed_once_mlflow_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking_uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    dead = replace(Process.this(), machine="elsewhere", pid=7)
    runs = Runs(tracking_uri, "tiny")
    left = runs.parent("1", "key", "tiny v1", {})
    runs.log(left, tags={OWNER: owner_tag(dead)})
    labels = {LABEL: json.dumps({**asdict(dead), TIMES: 1})}
    crashed = [[FlowRun.model_construct(labels=labels, run_count=1)], []]

    async def end_dead_runs(*_: object) -> list[FlowRun]:
        return crashed.pop(0)

    monkeypatch.setattr(watcher_module, "end_dead_runs", end_dead_runs)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    watcher = watcher_of(NOBODY)
    with temporary_settings({PREFECT_API_URL: f"{NOBODY}/api"}):
        with pytest.raises(RegistryUnavailable):
            asyncio.run(watcher._end_dead())
        watcher.tracking_uri = tracking_uri
        asyncio.run(watcher._end_dead())
    assert runs.client.get_run(left).info.status == "KILLED"


class StubbornWatcher(Watcher):
    """A watcher whose client of HTTP turns a cancellation into an error of its own."""

    begun: asyncio.Event
    lost = False

    async def _look(self, _model: str | None) -> dict[WantedRun, Ensured]:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.lost = True
            raise TimeoutError("the pool of connections is full") from None
        return {}


def test_a_client_that_loses_a_cancellation_does_not_keep_the_watcher() -> None:
    async def begun_and_ended() -> bool:
        watcher = StubbornWatcher([TINY], NOBODY, Path("no home"), look_s=0.01)
        watcher.begun = asyncio.Event()
        watching = asyncio.create_task(watcher.watch())
        await watcher.begun.wait()
        watching.cancel()
        await asyncio.wait({watching}, timeout=60)
        assert watching.cancelled()
        await asyncio.sleep(0)
        return watcher.lost

    with temporary_settings({PREFECT_API_URL: f"{NOBODY}/api"}):
        assert asyncio.run(begun_and_ended()), "the cancellation was not lost"
