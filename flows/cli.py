"""`edgewright`, the command line: everything that people do by hand."""

import gc
import os
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from flows.commands import (
    anchor,
    check_family,
    composed_version,
    export_command,
    family,
    gates,
    hold,
    init_command,
    looks,
    print_cost,
    recipes,
    rollback_command,
)
from flows.environment import HOME, prepare, tell_loading
from flows.exit_codes import code_of, ending_of
from flows.field import devices, ingest_command
from flows.keys import keys
from flows.prefect_api import start_prefect
from flows.services import down_command, status_command, units_command, up_command
from flows.sign_off import sign_off_command, sign_off_key_command
from flows.watch import watch_command

if TYPE_CHECKING:  # prepare() sets the environment that mlflow and prefect read when they are imported
    from tasks.outcomes import Outcome

app = typer.Typer(
    name="edgewright",
    help="From a registered model to a gated, published edge model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(recipes, name="recipes")
app.add_typer(gates, name="gates")
app.add_typer(family, name="family")
app.add_typer(anchor, name="anchor")
app.add_typer(looks, name="looks")
app.add_typer(hold, name="hold")
app.add_typer(keys, name="keys")
app.add_typer(devices, name="devices")
app.command("init")(init_command)
app.command("rollback")(rollback_command)
app.command("export")(export_command)
app.command("ingest")(ingest_command)
app.command("watch")(watch_command)
app.command("sign-off")(sign_off_command)
app.command("sign-off-key")(sign_off_key_command)
app.command("up")(up_command)
app.command("down")(down_command)
app.command("status")(status_command)
app.command("units")(units_command)
console = Console()

NOTHING_ASKED = "Nothing to compress: no newer version waits for an answer, and no answer is asked for again."
RecipeOption = Annotated[str, typer.Option(help="Path of a recipe, or the name of a shipped one.")]


@app.command("compress")
def compress_command(
    model: Annotated[str, typer.Argument(help="Name of the registered model.")],
    recipe: RecipeOption,
    version: Annotated[
        str | None, typer.Argument(help="Version number; a family is composed of its newest members without one.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Ask again, whatever was answered before.")] = False,
    back: Annotated[
        bool, typer.Option("--back", help="Let it replace a newer version, as a new release: a deliberate way back.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what a run costs at most: time, memory and disk.")
    ] = False,
) -> None:
    """Compress one registered version and publish it where its gates hold.

    Reads MLFLOW_TRACKING_URI, EDGEWRIGHT_HOME and EDGEWRIGHT_TARGET. Exits with 0 when every device got it,
    1 when a gate refused it or it waits for sign-off, 2 when recipe, workload or model is wrong, 3 when the system
    around it failed.
    """
    prepare(HOME)
    if version is None:
        check_family(model, Path(recipe))
    tell_loading(console)
    if dry_run:
        from flows.console import show_progress

        show_progress(console)
        print_cost(console, model, version or composed_version(Path(recipe)), Path(recipe))
        return
    ready = start_prefect()
    from flows.compress import compress
    from flows.console import show_progress

    version = version or composed_version(Path(recipe))  # it imports Prefect, which reads where its server is
    show_progress(console)
    ready()
    _end_with([compress(model, version, recipe, again=again, back=back)])


@app.command("reconcile")
def reconcile_command(
    recipe: Annotated[
        list[str] | None,
        typer.Option(help="Recipe to look at; EDGEWRIGHT_RECIPES or all shipped ones if not given."),
    ] = None,
) -> None:
    """Compress every version that is newer than the last answered one.

    The newest version is asked for again when something that its answer depends on has changed. Versions older than an
    answered one are superseded and are not asked for. Exits as compress does, with the highest code of all versions.
    """
    prepare(HOME)
    ready = start_prefect()
    from flows.console import show_progress
    from flows.reconcile import reconcile

    show_progress(console)
    ready()
    outcomes = reconcile(recipe)
    if not outcomes:
        console.print(NOTHING_ASKED)
    _end_with(outcomes)


@app.command()
def plan(
    recipe: Annotated[
        list[Path] | None,
        typer.Option(help="Recipe to plan for; EDGEWRIGHT_RECIPES or all shipped ones if not given."),
    ] = None,
    every: Annotated[bool, typer.Option("--every", help="Show what stands on each device too.")] = False,
) -> None:
    """Show what would run and why, without doing it; edgewright reconcile does just that.

    + is a new version, ~ one that is asked for again, = an answer that stands, ! waits, x is wrong. Exits with 0, and
    with 2 where a recipe is wrong.
    """
    with _reading():
        from deployments.recipe import named_recipes
        from flows.plan import make_plan, plan_lines
        from tasks.workspace import Workspace

        workspace = Workspace.from_environment()
        made = make_plan(recipe or named_recipes(), workspace)
        for line in plan_lines(made, workspace, every):
            console.print(escape(line), soft_wrap=True, highlight=False)
        raise typer.Exit(2 if made.errors else 0)


@app.command()
def report(
    subject: Annotated[
        str, typer.Argument(metavar="MODEL[/VERSION]", help="The newest answered version if not given.")
    ],
    device: Annotated[str | None, typer.Option(help="Only this device.")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the pages in a browser too.")] = False,
) -> None:
    """Show the gate report of a version: the verdict, why, and every gate."""
    with _reading():
        from flows.reports import save_page, stored_reports
        from quality_gates.report import render_text

        model, _, version = subject.partition("/")
        for stored in stored_reports(model, version or None, device):
            console.print(render_text(stored.content), "")
            if open_page:
                page = save_page(stored, HOME / "reports")
                console.print(f"Page: {page}\n")
                webbrowser.open(page.as_uri())


@app.command()
def frontier(
    subject: Annotated[
        str, typer.Argument(metavar="MODEL[/VERSION]", help="The newest answered version if not given.")
    ],
    device: Annotated[str | None, typer.Option(help="Only this device.")] = None,
) -> None:
    """Show every model that the search made for a device: accuracy, bytes, latency, memory, and which was chosen."""
    with _reading():
        from flows.console import frontier_table
        from flows.reports import stored_reports

        model, _, version = subject.partition("/")
        for stored in stored_reports(model, version or None, device):
            console.print(frontier_table(stored.content))
            for sentence in stored.content.why:
                console.print(escape(sentence))
            console.print()


@app.command()
def history(
    model: Annotated[str, typer.Argument(help="Name of the registered model.")],
    device: Annotated[str | None, typer.Option(help="Only this device.")] = None,
) -> None:
    """Show what came of every version: figures, what is deployed now, what was refused and why."""
    with _reading():
        from flows.console import history_table

        console.print(history_table(model, device))


@app.command()
def approve(
    subject: Annotated[str, typer.Argument(metavar="MODEL/VERSION", help="The refused version.")],
    device: Annotated[str, typer.Option(help="The device that it is released for.")],
    name: Annotated[str, typer.Option(help="Who answers for it.")],
    reason: Annotated[str, typer.Option(help="Why it is released against its gates.")],
    until: Annotated[
        str, typer.Option(metavar="YYYY-MM-DD", help="Last day on which the approval counts, such as 2027-01-31.")
    ],
) -> None:
    """Publish a version that its gates refused: a person answers for it, by name and until a day.

    The approval is recorded with the verdict and shown in the report, the registry and the bundle as `overridden`.
    """
    prepare(HOME)
    from flows.console import show_progress
    from flows.decisions import approve_subject, day_of

    show_progress(console)
    outcome = approve_subject(subject, device, name=name, reason=reason, until=day_of(until))
    console.print(f"{outcome.device}: version {outcome.version} is deployed, with the verdict {outcome.verdict}.")


@app.command()
def demo() -> None:
    """Tell the story of three versions of a digit classifier, on real data, in about 4 minutes."""
    home = HOME / "demo"
    os.environ.pop("PREFECT_API_URL", None)  # the story runs on servers of its own
    prepare(HOME)
    ready = start_prefect()
    tell_loading(console)
    from flows.console import show_progress
    from flows.demo.story import SUMMARY, tell

    show_progress(console)
    ready()
    tell(home, console)
    console.print(
        f"\nWritten: {home / SUMMARY}. Published bundles: {home / 'target'}.\n"
        "Next: [bold]make ui[/] opens MLflow on what was made. Open the experiment [bold]edgewright-digits[/], "
        "a run of a device, such as [bold]digits v3 camera: refused[/], and its artifact [bold]report.html[/]."
    )


@app.command()
def emulators(
    prepare_them: Annotated[
        bool, typer.Option("--prepare", help="Fetch what is missing but the emulator itself: apt and pip, no root.")
    ] = False,
) -> None:
    """List the CPUs that a device's answers can be taken on here, emulated."""
    prepare(HOME)
    from flows.emulated_cpus import emulators_table, prepare_emulators

    home = HOME.resolve()
    if prepare_them:
        prepare_emulators(home, console)
    console.print(emulators_table(home))


@app.command()
def schemas(
    folder: Annotated[Path, typer.Option(help="Folder to write into.")] = HOME / "schemas",
) -> None:
    """Write JSON Schemas of recipes and device profiles, from which editors complete and check these files."""
    prepare(HOME)
    from deployments.reference import write_schemas

    for path in write_schemas(folder):
        console.print(f"{path}", soft_wrap=True)


@contextmanager
def _reading() -> Iterator[None]:
    """Prepare a command that only reads. It ends in seconds, a tenth of which would go into collecting garbage."""
    gc.disable()
    try:
        prepare(HOME)
        yield
    finally:
        gc.enable()


def _end_with(outcomes: "list[Outcome]") -> None:
    """Show outcomes and their errors, and exit with the highest of their codes."""
    from flows.console import outcome_table

    if any(outcome.devices for outcome in outcomes):
        console.print(outcome_table(outcomes))
    for outcome in outcomes:
        if outcome.error is not None:
            _say(outcome.error)
        for failure in outcome.failures:
            _say(f"{failure.device}: {failure.sentence}")
    raise typer.Exit(code_of(outcomes))


def _say(sentence: str) -> None:
    """Write an error to the terminal as one line."""
    Console(stderr=True).print(f"[red]error:[/] {escape(sentence)}", highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command line; every error is one sentence and an exit code, and its traceback stays off the terminal."""
    try:
        app()
    except Exception as error:
        code, sentence = ending_of(error, HOME)
        _say(sentence)
        raise SystemExit(code) from None
