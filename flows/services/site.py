"""A site: the folders, addresses and recipes of one set of services."""

import json
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from edge_runtime.files import write_atomic
from tasks.errors import SystemFailure, one_line

SITE = "site.json"
_FOLDERS = ("home", "target", "mlflow_folder", "prefect_folder")


@dataclass(frozen=True)
class Ports:
    """A port for each service that listens."""

    mlflow: int = 5000
    prefect: int = 4200
    worker: int = 8080
    watch: int = 8765


@dataclass(frozen=True)
class Site:
    """The folders, addresses and recipes of one set of services.

    In containers each service has its own name in the network and listens to it; elsewhere all are on 127.0.0.1. A
    server that serves artifacts is asked for them; else its clients read them from the disk of this machine, as those
    of its SQLite file do.
    """

    home: Path
    target: Path
    mlflow_folder: Path
    prefect_folder: Path
    prefect_file: str
    ports: Ports = Ports()
    recipes: tuple[str, ...] = ()
    in_containers: bool = False
    serves_artifacts: bool = True
    bucket: str | None = None

    @classmethod
    def of_home(
        cls, home: Path, target: Path, ports: Ports, recipes: tuple[str, ...], bucket: str | None = None
    ) -> "Site":
        """Return the site of one machine, with everything below a home: its registry is the home's SQLite file."""
        return cls(
            home=home,
            target=target,
            mlflow_folder=home / "mlflow",
            prefect_folder=home / "services" / "prefect",
            prefect_file=str(resources.files("deployments") / "prefect.yaml"),
            ports=ports,
            recipes=recipes,
            serves_artifacts=False,
            bucket=bucket,
        )

    @property
    def published(self) -> str:
        """The address that bundles are published at: s3://BUCKET/PREFIX where there is one, else a folder's path."""
        return self.bucket or str(self.target)

    @property
    def bind(self) -> str:
        """The address that servers listen on."""
        return "0.0.0.0" if self.in_containers else "127.0.0.1"

    def host(self, service: str) -> str:
        """Return the name under which the others reach a service."""
        return service if self.in_containers else "127.0.0.1"

    @property
    def seen_host(self) -> str:
        """The name under which people's browsers reach the servers; those of containers are published by an engine."""
        return "localhost" if self.in_containers else "127.0.0.1"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), **{name: str(getattr(self, name)) for name in _FOLDERS}}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Site":
        """Read what `to_json` wrote. Raises KeyError or TypeError for anything else."""
        known = {each.name: content[each.name] for each in fields(cls) if each.name != "bucket"}
        known["bucket"] = content.get("bucket")  # who wrote it before knew none
        known |= {name: Path(known[name]) for name in _FOLDERS}
        return cls(**known | {"ports": Ports(**known["ports"]), "recipes": tuple(known["recipes"])})


def read_site(folder: Path) -> Site:
    """Return the site that the services of a folder were last started for. Raises SystemFailure where none is."""
    try:
        return Site.from_json(json.loads((folder / SITE).read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemFailure(
            f"{folder / SITE}: expected what edgewright up wrote, got {one_line(error)}; remove it, run edgewright up"
        ) from error


def write_site(folder: Path, site: Site) -> None:
    """Replace the site of a folder in one step."""
    write_atomic(folder / SITE, json.dumps(site.to_json(), indent=1).encode())
