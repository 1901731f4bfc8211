"""`edgewright up`, `down`, `status` and `units`: all services on one machine."""

import os
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from flows.environment import HOME

if TYPE_CHECKING:
    from flows.services.installation import Installation
    from flows.services.service_states import ServiceState
    from flows.services.site import Ports, Site
    from flows.terminal_tables import TerminalTable

console = Console()
PortOption = typer.Option(min=1, max=65535, help="Port of this service; that of the last time when not given.")


def up_command(
    recipe: Annotated[
        list[str] | None, typer.Option(help="Recipe to watch for; those of the last time when not given, or all.")
    ] = None,
    port_mlflow: Annotated[int | None, PortOption] = None,
    port_prefect: Annotated[int | None, PortOption] = None,
    port_worker: Annotated[int | None, PortOption] = None,
    port_watch: Annotated[int | None, PortOption] = None,
) -> None:
    """Start all services on this machine: MLflow, Prefect, a worker and the watcher.

    They listen on this machine alone, where every other user reaches them too: see the threat model.

    They go on after the command, and what dies is started again. Running it again changes nothing and shows how they
    are; after a kill or a power cut it starts them again. Everything is below EDGEWRIGHT_HOME.
    """
    from flows.services.given_recipes import checked_recipes
    from flows.services.installation import Installation
    from flows.services.site import Ports

    recipes = None if recipe is None else checked_recipes(recipe)
    installation = Installation(HOME)
    known = installation.site
    if recipes is None:
        recipes = known.recipes if known else ()
        if not installation.is_running():
            _warn_of(recipes)
    ports = Ports() if known is None else known.ports
    given = {"mlflow": port_mlflow, "prefect": port_prefect, "worker": port_worker, "watch": port_watch}
    ports = Ports(**{name: port or getattr(ports, name) for name, port in given.items()})
    site = _site(ports, recipes, known)
    started = installation.start(site)
    _wait(installation, site, started)
    console.print(_table(installation, site))
    console.print(
        f"{'Started' if started else 'They ran already'}. MLflow: http://127.0.0.1:{site.ports.mlflow}, Prefect: "
        f"http://127.0.0.1:{site.ports.prefect}. Register a version of a model that a recipe names, and it is "
        "compressed. For your own programs and for edgewright's other commands:",
        *_exports(site),
        f"Logs: {installation.folder}. End with edgewright down.",
        sep="\n",
        soft_wrap=True,
        highlight=False,
    )


def down_command() -> None:
    """End all services that `edgewright up` started, with the run that is at work; its finished stages are kept."""
    from flows.services.installation import Installation

    with console.status("ending ..."):
        ran = Installation(HOME).stop()
    console.print("All services ended." if ran else "No service ran.")


def status_command() -> None:
    """Show the services that `edgewright up` started. Exits with 3 where one does not work."""
    from flows.services.installation import Installation
    from flows.services.table import services
    from tasks.errors import SystemFailure

    installation = Installation(HOME)
    site, states = installation.site, installation.states
    if site is None or not states:
        raise SystemFailure("services: expected them to run, got none; start them by edgewright up")
    console.print(_table(installation, site))
    bad = [each.name for each in services(site) if not states[each.name].is_ready(each)]
    if bad:
        raise SystemFailure(
            f"services: expected all to work, got {', '.join(bad)} at fault; see the logs in {installation.folder}"
        )


def units_command(
    folder: Annotated[Path, typer.Option(help="Folder to write into.")] = HOME / "units",
    recipe: Annotated[
        list[str] | None, typer.Option(help="Recipe to watch for; all shipped ones if not given.")
    ] = None,
) -> None:
    """Write units of systemd for this installation, and the secrets that they need, made once.

    The services run as the user edgewright below /var/lib/edgewright, listen on 127.0.0.1 and start again at their end.
    They find workloads in the folders that PYTHONPATH names now.
    """
    from flows.services.given_recipes import checked_recipes
    from flows.services.site import Ports
    from flows.services.systemd_units import hidden_places, production_site, root_commands, write_units

    site = production_site(Ports(), checked_recipes(recipe or ()))
    for path in write_units(folder, site):
        console.print(f"{path}", soft_wrap=True, highlight=False)
    console.print(
        "As root:", *(f"  {line}" for line in root_commands(folder)), sep="\n", soft_wrap=True, highlight=False
    )
    if hidden := hidden_places(site):
        console.print(
            "[yellow]The units do not see folders of users.[/] Install elsewhere, such as in /opt, what is in "
            f"{', '.join(hidden)}.",
            soft_wrap=True,
            highlight=False,
        )


def _warn_of(remembered: tuple[str, ...]) -> None:
    """Tell which recipe of the last time is gone or wrong by now: after a power cut too, the others are served."""
    from deployments.errors import ConfigurationError
    from flows.services.given_recipes import checked_recipes

    try:
        checked_recipes(remembered)
    except ConfigurationError as error:
        told = Text(f"{error}. The watcher starts nothing for it until that is mended.", "yellow")
        console.print(told, soft_wrap=True)


def _site(ports: "Ports", recipes: tuple[str, ...], known: "Site | None") -> "Site":
    """Return the site of this home; its target stays that of the last time where none is named now."""
    from flows.services.site import Site
    from tasks.workspace import Workspace

    home, named = HOME.resolve(), os.environ.get("EDGEWRIGHT_TARGET")
    if known is not None and not named:
        return Site.of_home(home, known.target, ports, recipes, known.bucket)
    workspace = Workspace.at(home, target=named)
    return Site.of_home(home, workspace.target, ports, recipes, workspace.bucket)


def _exports(site: "Site") -> list[str]:
    """Return lines for a shell whose programs and commands shall work with the same servers, folders and recipes."""
    recipes = [f"  export EDGEWRIGHT_RECIPES={quote(os.pathsep.join(site.recipes))}"] if site.recipes else []
    return [
        f"  export MLFLOW_TRACKING_URI=http://127.0.0.1:{site.ports.mlflow} "
        f"PREFECT_API_URL=http://127.0.0.1:{site.ports.prefect}/api",
        f"  export EDGEWRIGHT_HOME={quote(str(site.home))} EDGEWRIGHT_TARGET={quote(site.published)}",
        *recipes,
    ]


def _wait(installation: "Installation", site: "Site", started: bool) -> None:
    """Wait until all services work; where they were started just now, say each one once it does."""
    from flows.services.table import services

    table, told = services(site), set[str]()
    if started:
        console.print(f"Starting {len(table)} services; the first start takes a minute or two.")
    with console.status("starting ...") as shown:

        def seen(states: "dict[str, ServiceState]") -> None:
            for service in table:
                state = states.get(service.name)
                if started and state is not None and state.is_ready(service) and service.name not in told:
                    told.add(service.name)
                    console.print(f"  {service.name}: {state.state}", highlight=False)
            shown.update(_waiting(states))

        installation.wait_until_ready(site, seen)


def _waiting(states: "dict[str, ServiceState]") -> str:
    """Say what is waited for."""
    return "starting: " + ", ".join(f"{name} {each.state}" for name, each in states.items())


def _table(installation: "Installation", site: "Site") -> "TerminalTable":
    from flows.services.table import services
    from flows.terminal_tables import Column, Row, TerminalTable

    columns = (Column("service"), Column("state"), Column("process", right=True, spare=1),
               Column("restarts", right=True, spare=2), Column("address"))  # fmt: skip
    rows = []
    for service in services(site):
        state = installation.states.get(service.name)
        if state is not None:
            good = "green" if state.is_ready(service) else "red"
            pid = "" if state.pid is None else str(state.pid)
            cells = (service.name, Text(state.state, good), pid, str(state.restarts), service.address or "")
            rows.append(Row(cells, service.purpose))
    return TerminalTable("The services of this home", columns, rows, noted="what it does")
