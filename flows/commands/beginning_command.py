"""`edgewright init`: from a registered model to a workload, a recipe and a device profile that can be run."""

import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console
from rich.markup import escape

from deployments.errors import ConfigurationError
from edge_runtime.cpu import InstructionSet
from flows.environment import HOME, prepare, tell_loading

if TYPE_CHECKING:
    from flows.first_files import FirstFiles, Wishes

console = Console()
ASSUMED_AT_MOST = 0.999  # a model that is always right on these rows is not so on all
TASKS = ("classification", "binary", "multi_label", "regression", "segmentation", "detection")


def _one_of(given: str | None, known: tuple[str, ...], option: str) -> str | None:
    if given is None or given in known:
        return given
    raise ConfigurationError(f"{option}: expected one of {', '.join(known)}, got {given!r}; correct it")


def _finite(given: float | None) -> float | None:
    if given is None or math.isfinite(given):
        return given
    raise ConfigurationError(f"expected a number as a budget, got {given}; correct it, or leave the option out")


Rows = Annotated[Path | None, typer.Option(help="Folder of .npz or .npy files: train, validation, test.")]
Own = Annotated[str | None, typer.Option(help="A workload that you have, as module:Class.")]
To = Annotated[Path, typer.Option(help="Folder that the files go to.")]
Targets = Annotated[str | None, typer.Option(help="Name of the array of right answers.")]
Task = Annotated[str | None, typer.Option(help=f"What the outputs are: {', '.join(TASKS)}.")]
Output = Annotated[str | None, typer.Option(help="Name of the output that is scored, of several.")]
Critical = Annotated[
    list[str] | None, typer.Option(metavar="COLUMN=VALUE", help="A slice that no version may lose; repeat for more.")
]
Device = Annotated[str | None, typer.Option(help="Name of a device profile, a shipped one or a new one.")]
Instructions = Annotated[str | None, typer.Option(help="Of the new device; default: this machine's.")]
Threads = Annotated[int | None, typer.Option(help="Threads that the model may use.", min=1)]
SizeKb = Annotated[float | None, typer.Option(callback=_finite, help="Most kB of the model's file.", min=1)]
MemoryMb = Annotated[float | None, typer.Option(callback=_finite, help="Most MiB of the process.", min=1)]
LatencyMs = Annotated[
    float | None, typer.Option(callback=_finite, help="Most milliseconds of one row, median.", min=0.001)
]


def init_command(
    subject: Annotated[str, typer.Argument(metavar="MODEL[/VERSION]", help="The newest version if not given.")],
    rows: Rows = None,
    workload: Own = None,
    to: To = Path("edge"),
    targets: Targets = None,
    task: Task = None,
    output: Output = None,
    critical: Critical = None,
    device: Device = None,
    instruction_set: Instructions = None,
    threads: Threads = None,
    size_kb: SizeKb = None,
    memory_mb: MemoryMb = None,
    latency_ms: LatencyMs = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take all suggestions without a question.")] = False,
) -> None:
    """Write the first workload, recipe and device profile of a registered model, and check them.

    Reads the model's inputs and your rows, suggests margins and floors from them, and asks where it runs on a terminal.
    Nothing that is there is written over, and nothing is trained.
    """
    prepare(HOME)
    tell_loading(console)
    from flows.console import show_progress
    from flows.first_files import Wishes, begin
    from tasks.workspace import Workspace

    show_progress(console)
    model, _, version = subject.partition("/")
    wishes = Wishes(
        model=model, version=version or None, folder=to, rows=rows, workload=workload, targets=targets,
        task=_one_of(task, TASKS, "--task"),  # type: ignore[arg-type]
        critical=tuple(critical or ()), device=device,
        instruction_set=_one_of(instruction_set, get_args(InstructionSet), "--instruction-set"),  # type: ignore[arg-type]
        threads=threads, size_kb=size_kb, memory_mb=memory_mb, latency_ms=latency_ms, output=output,
    )  # fmt: skip
    answer = _asked if _is_terminal() and not yes else _taken
    for line in _told(wishes, begin(wishes, Workspace.from_environment(), answer, _said)):
        _said(line)


def _told(wishes: "Wishes", found: "FirstFiles") -> Iterator[str]:
    """Yield what was written, and what to do next."""
    for path in found.written:
        yield f"Written: {path}"
    if found.recipe is None:
        subject = wishes.model if wishes.version is None else f"{wishes.model}/{wishes.version}"
        yield (
            f"Fill in `split`, then: PYTHONPATH={wishes.folder} {_program()} init {subject} --workload "
            f"{found.written[0].stem}:CLASS, which writes the recipe with margins from your rows."
        )
        return
    yield f"{found.recipe}: good. {found.tried}. Next, from this folder:"
    if wishes.workload is None:
        yield f"    export PYTHONPATH={wishes.folder.resolve()}"
    yield f"    {_program()} gates plan {found.recipe}{_assumed(found.accuracy)}"
    yield f"    {_program()} compress {wishes.model} {found.version} --recipe {found.recipe}"
    yield f"    {_program()} report {wishes.model}/{found.version} --open"


def _program() -> str:
    """Return how this program was called, such as `.venv/bin/edgewright`: what is printed can be pasted."""
    called = Path(sys.argv[0])
    on_path = shutil.which("edgewright")
    if called.name != "edgewright" or (on_path is not None and Path(on_path).resolve() == called.resolve()):
        return "edgewright"
    return str(called)


def _assumed(accuracy: float | None) -> str:
    """Return the option by which the plan assumes the registered model's own accuracy."""
    return "" if accuracy is None else f" --accuracy {min(accuracy, ASSUMED_AT_MOST):.3f}"


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _asked(question: str, suggested: str) -> str:
    answer: str = typer.prompt(question, default=suggested, show_default=bool(suggested))
    return answer.strip()


def _taken(_question: str, suggested: str) -> str:
    return suggested


def _said(sentence: str) -> None:
    console.print(escape(sentence), soft_wrap=True, highlight=False)
