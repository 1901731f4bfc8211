"""`edgewright init`: from a registered model to a workload, a recipe and a device profile that can be run."""

import shutil
import sys
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.markup import escape

from deployments.errors import ConfigurationError
from edge_runtime.cpu import InstructionSet
from flows.environment import HOME, prepare

console = Console()
ASSUMED_AT_MOST = 0.999  # a model that is always right on these rows is not so on all
TASKS = ("classification", "binary", "multi_label", "regression", "segmentation", "detection")


def _one_of(given: str | None, known: tuple[str, ...], option: str) -> str | None:
    if given is None or given in known:
        return given
    raise ConfigurationError(f"{option}: expected one of {', '.join(known)}, got {given!r}; correct it")


def init_command(
    subject: Annotated[str, typer.Argument(metavar="MODEL[/VERSION]", help="The newest version if not given.")],
    rows: Annotated[Path | None, typer.Option(help="Folder of .npz or .npy files: train, validation, test.")] = None,
    workload: Annotated[str | None, typer.Option(help="A workload that you have, as module:Class.")] = None,
    to: Annotated[Path, typer.Option(help="Folder that the files go to.")] = Path("edge"),
    targets: Annotated[str | None, typer.Option(help="Name of the array of right answers.")] = None,
    task: Annotated[str | None, typer.Option(help=f"What the outputs are: {', '.join(TASKS)}.")] = None,
    output: Annotated[str | None, typer.Option(help="Name of the output that is scored, of several.")] = None,
    critical: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="A slice that no version may lose; repeat for more."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Name of a device profile, a shipped one or a new one.")] = None,
    instruction_set: Annotated[str | None, typer.Option(help="Of the new device; default: this machine's.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads that the model may use.", min=1)] = None,
    size_kb: Annotated[float | None, typer.Option(help="Most kB of the model's file.", min=1)] = None,
    memory_mb: Annotated[float | None, typer.Option(help="Most MiB of the process.", min=1)] = None,
    latency_ms: Annotated[float | None, typer.Option(help="Most milliseconds of one row, median.", min=0.001)] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take all suggestions without a question.")] = False,
) -> None:
    """Write the first workload, recipe and device profile of a registered model, and check them.

    Reads the model's inputs and your rows, suggests margins and floors from them, and asks where it runs on a terminal.
    Nothing that is there is written over, and nothing is trained.
    """
    prepare(HOME)
    from flows.first_files import Wishes, begin
    from tasks.workspace import Workspace

    model, _, version = subject.partition("/")
    wishes = Wishes(
        model=model, version=version or None, folder=to, rows=rows, workload=workload, targets=targets,
        task=_one_of(task, TASKS, "--task"),  # type: ignore[arg-type]
        critical=tuple(critical or ()), device=device,
        instruction_set=_one_of(instruction_set, get_args(InstructionSet), "--instruction-set"),  # type: ignore[arg-type]
        threads=threads, size_kb=size_kb, memory_mb=memory_mb, latency_ms=latency_ms, output=output,
    )  # fmt: skip
    asks = _is_terminal() and not yes
    found = begin(wishes, Workspace.from_environment(), _asked if asks else _taken, _said)
    for path in found.written:
        _said(f"Written: {path}")
    if found.recipe is None:
        _said(
            f"Fill in `split`, then: PYTHONPATH={to} {_program()} init {subject} --workload "
            f"{found.written[0].stem}:CLASS, which writes the recipe with margins from your rows."
        )
        return
    _said(f"{found.recipe}: good. {found.tried}. Next, from this folder:")
    for line in (
        *([f"export PYTHONPATH={to.resolve()}"] if workload is None else []),
        f"{_program()} gates plan {found.recipe}{_assumed(found.accuracy)}",
        f"{_program()} compress {model} {found.version} --recipe {found.recipe}",
        f"{_program()} report {model}/{found.version} --open",
    ):
        _said(f"    {line}")


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
