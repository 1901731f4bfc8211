"""Advances of long stages: the steps tell them, and whoever shows the run to people hears them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

from edge_runtime.errors import EdgewrightError
from tasks.errors import without_secrets

Cell: TypeAlias = str | int | float | None
Value = TypeVar("Value")


@dataclass(frozen=True)
class Advance:
    """A part of a long stage that is done: which of how many, what came of it, and its lines in the stage's table.

    `stage` is a plural such as `rungs`, `device` is empty for what all devices share. Lines are added to the table, or
    are the `whole` of it. An advance without lines only moves a bar.
    """

    stage: str
    done: int
    total: int
    said: str
    device: str = ""
    lines: Sequence[Mapping[str, Cell]] = ()
    whole: bool = False


Listener: TypeAlias = Callable[[Advance], None]
_LISTENER: ContextVar[Listener | None] = ContextVar("listener to advances", default=None)


@contextmanager
def told_to(listener: Listener | None) -> Iterator[None]:
    """Let a listener hear all advances inside; None lets nobody."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(advance: Advance) -> None:
    """Tell an advance to the listener, if there is one."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(advance)


def as_task(name: str, title: str, produce: Callable[[Path], Value]) -> Callable[[Path], Value]:
    """Return what computes a stage as a Prefect task of its own, run under a title; as it is where nobody listens.

    A stage that is found in the store computes nothing, so it is no task either. An error that is an answer, such as a
    rung that cannot quantize a model, is raised as ever, and shown as a task without a result.
    """
    if _LISTENER.get() is None:
        return produce

    def computed(folder: Path) -> Value:
        answers: list[EdgewrightError] = []
        run = task(name=name, task_run_name=lambda: title, cache_policy=NO_CACHE)(_kept(produce, answers))
        value = run(folder)
        if answers:
            raise answers[0]
        return value  # type: ignore[return-value]

    return computed


def _kept(produce: Callable[[Path], Value], answers: list[EdgewrightError]) -> Callable[[Path], object]:
    """Return a function that keeps an error of Edgewright's in `answers`, and returns it as the state of its task."""

    def run(folder: Path) -> object:
        try:
            return produce(folder)
        except EdgewrightError as error:
            from prefect.states import Completed

            answers.append(error)
            return Completed(name="No result", message=without_secrets(str(error)))

    return run
