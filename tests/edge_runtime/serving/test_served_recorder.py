"""The recorder: what serves is written down for reports, and nobody waits for it."""

import asyncio
import logging
import os
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import Spread
from edge_runtime.serving import ModelStatistics, Runtime, served_recorder
from edge_runtime.serving.served_recorder import ServedRecorder
from edge_runtime.session import resident_bytes
from edge_runtime.statistics import SERVED, ServedFile, ServingRecord
from tests.edge_runtime.install.carried import DEVICE, MODEL
from tests.edge_runtime.serving.gated_model import GatedModel, rows, served, version_of
from tests.edge_runtime.serving.stored import Stored, some_rows

HOUR_S = 3600.0


class OneModel:
    """The models of a process that has one, whose statistics a test gives."""

    def __init__(self, statistics: ModelStatistics, version: str = "1") -> None:
        self._statistics = statistics
        self._described = version_of(GatedModel(), name=version).description
        self.ready = True

    def names(self) -> list[str]:
        return ["gated"]

    def is_ready(self, _model: str) -> bool:
        return self.ready

    def description(self, _model: str) -> object:
        return self._described

    def statistics(self) -> list[ModelStatistics]:
        return [self._statistics]


async def _counted() -> ModelStatistics:
    async with served(GatedModel()) as site:
        await site.queue.answer({"x": rows(3)}, None, None)
        return site.queue.statistics()


async def _written(state: Path, before: ServingRecord | None = None) -> ServingRecord:
    """Wait until something else than before was written."""
    while True:
        record = ServedFile(state).read()
        if record is not None and record != before:
            return record
        await asyncio.sleep(0.01)


def test_figures_are_written_at_once_again_and_at_the_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        models = OneModel(await _counted())
        recorder = ServedRecorder(tmp_path, HOUR_S, models)  # type: ignore[arg-type]
        recorder.start()
        async with asyncio.timeout(60):
            first = await _written(tmp_path)
        (model,) = first.models
        assert (first.pid, model.model, model.digest, model.ready) == (os.getpid(), "gated", "1" * 64, True)
        assert model.figures.requests["ok"] == 1 and model.figures.latency_s.count == 1
        assert model.figures.latency_s.sum > 0 and model.figures.rss_bytes > 1 << 20
        assert not ServedFile(tmp_path).hold()
        models.ready = False
        await recorder.close()
        await recorder.close()
        last = ServedFile(tmp_path).read()
        assert last is not None and not last.models[0].ready and last.models[0].digest == "1" * 64

    asyncio.run(scenario())
    file = ServedFile(tmp_path)
    assert file.hold()
    file.let_go()


def test_figures_are_written_again_and_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        models = OneModel(await _counted())
        recorder = ServedRecorder(tmp_path, 0.01, models)  # type: ignore[arg-type]
        recorder.start()
        async with asyncio.timeout(60):
            first = await _written(tmp_path)
            models.ready = False
            assert not (await _written(tmp_path, first)).models[0].ready
        await recorder.close()

    asyncio.run(scenario())


def test_a_second_process_leaves_the_file_to_the_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = ServedFile(tmp_path)
    first.hold()

    async def scenario() -> None:
        recorder = ServedRecorder(tmp_path, HOUR_S, OneModel(await _counted()))  # type: ignore[arg-type]
        recorder.start()
        await recorder.close()

    with caplog.at_level(logging.WARNING, "edgewright"):
        asyncio.run(scenario())
    first.let_go()
    assert ServedFile(tmp_path).read() is None
    assert caplog.text.count("another process that serves writes its own") == 1


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / SERVED).write_bytes(b"no folder")

    async def scenario() -> None:
        recorder = ServedRecorder(tmp_path, HOUR_S, OneModel(await _counted()))  # type: ignore[arg-type]
        recorder.start()
        await recorder.close()

    with caplog.at_level(logging.WARNING, "edgewright"):
        asyncio.run(scenario())
    assert caplog.text.count("reports lack them") == 1


def test_figures_that_cannot_be_had_at_the_moment_are_written_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = resident_bytes
    fired: list[str] = []

    def once_without_files() -> int:
        if not fired:
            fired.append("EMFILE")
            raise OSError(24, "Too many open files")
        return real()

    monkeypatch.setattr(served_recorder, "resident_bytes", once_without_files)

    async def scenario() -> None:
        recorder = ServedRecorder(tmp_path, 0.01, OneModel(await _counted()))  # type: ignore[arg-type]
        recorder.start()
        async with asyncio.timeout(60):
            await _written(tmp_path)
        await recorder.close()

    with caplog.at_level(logging.WARNING, "edgewright"):
        asyncio.run(scenario())
    assert fired and "Too many open files" in caplog.text


def test_a_runtime_of_a_device_that_reports_writes_its_figures(tmp_path: Path) -> None:
    x = some_rows()
    wide = Spread("x", 10, 0.0, 1.0, tuple(float(each) for each in np.linspace(-5, 5, 9)))
    stored = Stored(tmp_path)
    carried = stored.put(1, spreads=(wide,))
    configuration = tmp_path / "device.toml"
    configuration.write_text(
        f'device = "{DEVICE}"\nmodels = ["{MODEL}"]\nurl = "/x"\nstate = "{stored.store.root}"\nroot = "/root.json"\n'
    )
    with Runtime.of_device(configuration) as runtime:
        runtime.predict(MODEL, {"x": x})
    assert not (stored.store.root / SERVED).exists()
    configuration.write_text(configuration.read_text() + "[reports]\n")
    with Runtime.of_device(configuration) as runtime:
        runtime.predict(MODEL, {"x": x})
        runtime.predict(MODEL, {"x": x})
    record = ServedFile(stored.store.root).read()
    assert record is not None
    (model,) = record.models
    assert (model.model, model.digest, model.ready) == (MODEL, carried.digest, True)
    assert model.figures.requests["ok"] == 2
    ((tensor, seen),) = [(each.tensor, each.rows) for each in model.figures.drift]
    assert tensor == "x" and 2 <= seen <= 4


def test_drift_begins_anew_with_a_version() -> None:
    spread = Spread("x", 10, 0.0, 1.0, tuple(float(each) for each in range(9)))

    def version(name: str) -> object:
        made = version_of(GatedModel(), name=name)
        return type(made)(GatedModel(), made.description, made.plan, (spread,))

    async def scenario() -> None:
        async with served(GatedModel()) as site:
            site.queue.serve(version("2"))  # type: ignore[arg-type]
            await site.queue.answer({"x": rows(3)}, None, None)
            await site.queue.answer({"x": rows(1)}, None, None)  # what the first says about drift is counted by now
            assert [(each.tensor, each.rows) for each in site.queue.statistics().drift] in ([("x", 3)], [("x", 4)])
            site.queue.serve(version("3"))  # type: ignore[arg-type]
            assert site.queue.statistics().drift == ()
            assert site.queue.statistics().latency_s.count == 2

    asyncio.run(scenario())
