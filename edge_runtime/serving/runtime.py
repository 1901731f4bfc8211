"""The Python API: a program opens a Runtime, asks its models, and closes it."""

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from edge_runtime.configuration import CONFIGURATION, read_configuration
from edge_runtime.errors import ModelNotServed, ServingError
from edge_runtime.install import DeviceStore, ShadowBudget
from edge_runtime.serving.model_host import ModelHost
from edge_runtime.serving.model_sources import BundleSource, ModelSource, StoreSource
from edge_runtime.serving.served_models import ModelDescription, ModelStatistics
from edge_runtime.serving.served_recorder import ServedRecorder
from edge_runtime.serving.serving_settings import ServingSettings

T = TypeVar("T")
_LAST_S = 2.0  # for tasks whose answers are there to give them on


class Runtime:
    """Models that answer in this process, as a context manager of either kind; it is opened once.

    In `with` an event loop of its own runs in a thread, and `predict` may be called from any number of threads. In
    `async with` it lives on the loop that runs, is a ServedModels, and is asked with `await runtime.answer(...)`.
    With `recorded`, a state folder and a number of seconds, what it counts is written down there so often, for reports.
    """

    def __init__(
        self,
        sources: Sequence[ModelSource],
        settings: ServingSettings | None = None,
        *,
        wait: bool = True,
        needs_all: bool = False,
        recorded: tuple[Path, float] | None = None,
    ) -> None:
        self._host = ModelHost(sources, settings or ServingSettings())
        self._recorder = None if recorded is None else ServedRecorder(*recorded, self._host)
        self._wait, self._needs_all = wait, needs_all
        self._opened = False
        self._loop_thread: _LoopThread | None = None

    @classmethod
    def of_device(
        cls, configuration: Path | str = CONFIGURATION, settings: ServingSettings | None = None, *, wait: bool = True
    ) -> Self:
        """Serve the models of a device; what another process installs is swapped in while it serves.

        A model that is not installed or does not load is not ready, and the others serve. Without `wait` none is loaded
        when the block begins. Raises BadConfiguration.
        """
        read = read_configuration(configuration)
        store = DeviceStore(read.state, read.device)
        recorded = None if read.reports is None else (read.state, read.reports.served_s)
        return cls([StoreSource(store, model) for model in read.models], settings, wait=wait, recorded=recorded)

    @classmethod
    def of_bundle(cls, *manifests: Path | str, settings: ServingSettings | None = None) -> Self:
        """Serve bundles, one for each model, by the paths of their manifests.

        Raises BundleError for what is no manifest. Entering the block raises ModelNotServed where one does not load.
        """
        return cls([BundleSource(path) for path in manifests], settings, needs_all=True)

    def __enter__(self) -> Self:
        self._open_once()
        self._loop_thread = _LoopThread()
        try:
            self._loop_thread.call(self._start())
        except BaseException:
            self._loop_thread.close(self._close())
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._loop_thread is not None:
            self._loop_thread.close(self._close())

    async def __aenter__(self) -> Self:
        self._open_once()
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close()

    def predict(
        self,
        model: str,
        arrays: Mapping[str, np.ndarray],
        *,
        deadline_s: float | None = None,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Answer a request in a `with` block, as `answer` does in an `async with` block."""
        return self._in_thread().call(self._host.answer(model, arrays, deadline_s=deadline_s, outputs=outputs))

    def replace(self, manifest: Path | str) -> None:
        """Serve another bundle of a model, in a `with` block, as `swap` does in an `async with` block."""
        self._in_thread().call(self._host.swap(BundleSource(manifest)))

    def compare(
        self, model: str, manifest: Path | str | None, *, share: float = 0.1, memory_mb: float | None = None
    ) -> None:
        """Compare another bundle with the one that serves, in a `with` block, as `shadow` does elsewhere."""
        self._in_thread().call(self.shadow(model, manifest, share=share, memory_mb=memory_mb))

    async def answer(
        self,
        model: str,
        arrays: Mapping[str, np.ndarray],
        *,
        deadline_s: float | None = None,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Answer a request: its outputs by name.

        `deadline_s` are seconds from now; `outputs` names those to return, all without it. Raises ModelNotServed,
        BadRequest, Overloaded, DeadlineExceeded or AnswerFailed.
        """
        return await self._host.answer(model, arrays, deadline_s=deadline_s, outputs=outputs)

    async def swap(self, manifest: Path | str) -> None:
        """Serve another bundle of a model from now on, by the path of its manifest; no request fails.

        It returns once the new version serves and the one before it is freed. Where it does not load, the one before
        goes on serving, and BundleError or SessionError is raised.
        """
        await self._host.swap(BundleSource(manifest))

    async def shadow(
        self, model: str, manifest: Path | str | None, *, share: float = 0.1, memory_mb: float | None = None
    ) -> None:
        """Ask another bundle of a model for a share of the requests too; its answers are compared, never returned.

        It returns once that is loaded, and `statistics` tells what was found. Without a path, what was asked for here
        ends. `memory_mb` is the most that it may need. Raises ModelNotServed, and BundleError, InstallError or
        SessionError for a bundle that is none of the model, does not load, takes other inputs, or needs more memory
        than is free.
        """
        wanted = None
        if manifest is not None:
            source = BundleSource(manifest)
            if source.model != model:
                raise ModelNotServed(f"The bundle {manifest} is one of {source.model}, not of {model}; give another.")
            wanted = source.as_shadow(ShadowBudget(share, memory_mb))
        await self._host.shadow(model, wanted)

    def names(self) -> list[str]:
        """Return the names of the models, sorted."""
        return self._host.names()

    def description(self, model: str) -> ModelDescription:
        """Describe the version that serves now. Raises ModelNotServed."""
        return self._host.description(model)

    def is_ready(self, model: str) -> bool:
        """Tell whether a request would be answered now."""
        return self._host.is_ready(model)

    def statistics(self) -> list[ModelStatistics]:
        """Return what was counted since the block began, for each model."""
        return self._host.statistics()

    def _open_once(self) -> None:
        if self._opened:
            raise ServingError("A runtime is opened once; make another one.")
        self._opened = True

    async def _start(self) -> None:
        try:
            await self._host.start(wait=self._wait)
            for name in self.names() if self._needs_all else ():
                self.description(name)
            if self._recorder is not None:
                self._recorder.start()
        except BaseException:
            await self._close()
            raise

    async def _close(self) -> None:
        """End everything; what was counted is written down while the versions are still known."""
        try:
            if self._recorder is not None:
                await self._recorder.close()
        finally:
            await self._host.close()

    def _in_thread(self) -> "_LoopThread":
        if self._loop_thread is None:
            raise ServingError("Open the runtime with `with` first; inside `async with`, await its other methods.")
        return self._loop_thread


class _LoopThread:
    """An event loop in a thread of its own, and calls into it from other threads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._gate = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._loop.run_forever, name="edgewright-loop", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop, and wait for it; an interrupt cancels it. Raises ModelNotServed once closed."""
        with self._gate:
            if self._closed:
                work.close()
                raise ModelNotServed("The runtime is closed; ask inside its `with` block.")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise ModelNotServed("The runtime was closed before the answer was there.") from None
        finally:
            future.cancel()

    def close(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the last coroutine, let those that were called before end, and end the thread. Safe to repeat."""
        with self._gate:
            if self._closed:
                work.close()
                return
            self._closed = True  # every call before this one is in the loop already
        try:
            asyncio.run_coroutine_threadsafe(_last(work), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


async def _last(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine, then let every other task of the loop end; one that does not is cancelled."""
    try:
        await work
    finally:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            _, left = await asyncio.wait(others, timeout=_LAST_S)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
