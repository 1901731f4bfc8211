"""docker/compose.yaml as tests read it: each service with its command, its environment and its dependencies."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.docker.dockerfiles import DOCKER, command, environment, read_dockerfile

COMPOSE = DOCKER / "compose.yaml"


@dataclass(frozen=True)
class Service:
    """One service. `environment` holds the image's variables too; `depends_on` maps services to conditions."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    healthcheck: tuple[str, ...] | None
    depends_on: Mapping[str, str]


def read_compose(path: Path = COMPOSE) -> dict[str, Any]:
    """Read the file with its YAML merges resolved."""
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def read_services(path: Path = COMPOSE) -> dict[str, Service]:
    """Read every service with what its image adds."""
    return {name: _service(name, content, path) for name, content in read_compose(path)["services"].items()}


def _service(name: str, content: Mapping[str, Any], path: Path) -> Service:
    build = content["build"]
    image = read_dockerfile(path.parent / build["context"] / build["dockerfile"])
    check = content.get("healthcheck", {}).get("test")
    return Service(
        name=name,
        command=tuple(content.get("command") or command(image)),
        environment=environment(image) | content.get("environment", {}),
        healthcheck=tuple(check[1:]) if check else None,
        depends_on={other: how["condition"] for other, how in content.get("depends_on", {}).items()},
    )
