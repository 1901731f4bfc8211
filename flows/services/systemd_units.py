"""Units of systemd: each service of the table as a unit that starts again by itself and may do little else."""

import os
import sys
from pathlib import Path
from shlex import quote

from edge_runtime.files import write_atomic
from flows.services.programs import with_path
from flows.services.secret_files import make_environment_file
from flows.services.site import Ports, Site
from flows.services.table import Service, services

USER = "edgewright"
STATE = Path("/var/lib/edgewright")
SECRETS = Path("/etc/edgewright")
"""Folder of a file for each service that needs secrets, NAME.env with mode 600; systemd alone reads it, as root."""
UNITS = Path("/etc/systemd/system")
TARGET = "edgewright.target"
HARDENING = (
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "UMask=0077",
)


def production_site(ports: Ports, recipes: tuple[str, ...]) -> Site:
    """Return the site of the units: all below /var/lib/edgewright, listening on 127.0.0.1."""
    home = Site.of_home(STATE, STATE / "target", ports, recipes)
    return Site(
        home=STATE,
        target=home.target,
        mlflow_folder=home.mlflow_folder,
        prefect_folder=STATE / "prefect",
        prefect_file=home.prefect_file,
        ports=ports,
        recipes=recipes,
    )


def write_units(folder: Path, site: Site) -> list[Path]:
    """Write a unit for each service, a target that starts them all, and the secrets, made once; return the files."""
    table = services(site)
    units = {_unit_of(service.name): _service_unit(service) for service in table}
    units[TARGET] = _target(table)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in units.items():
        write_atomic(folder / name, text.encode())
    secrets = [make_environment_file(folder / "secrets", service) for service in table if service.secrets]
    return [*(folder / name for name in units), *secrets]


def root_commands(folder: Path) -> list[str]:
    """Return the commands by which root takes the written units and starts them."""
    written = quote(str(folder.resolve()))
    return [
        f"useradd --system --home-dir {STATE} --shell /usr/sbin/nologin {USER}",
        f"install -d -m 700 {SECRETS}",
        f"install -m 600 {written}/secrets/*.env {SECRETS}/",
        f"cp {written}/*.service {written}/{TARGET} {UNITS}/",
        "systemctl daemon-reload",
        f"systemctl enable --now {TARGET}",
    ]


def _unit_of(service: str) -> str:
    return f"edgewright-{service}.service"


def _target(table: tuple[Service, ...]) -> str:
    wanted = " ".join(_unit_of(service.name) for service in table)
    return _text({"Unit": ["Description=Edgewright: all services", f"Wants={wanted}"],
                  "Install": ["WantedBy=multi-user.target"]})  # fmt: skip


def _service_unit(service: Service) -> str:
    before = " ".join(_unit_of(other) for other in service.after)
    unit = [
        f"Description=Edgewright: {service.purpose}",
        f"After=network.target {before}".rstrip(),
        *(f"Wants={_unit_of(other)}" for other in service.after),  # one that fails at first is tried again
        f"PartOf={TARGET}",
        "StartLimitIntervalSec=0",
    ]
    return _text({"Unit": unit, "Service": _running(service), "Install": [f"WantedBy={TARGET}"]})


def _running(service: Service) -> list[str]:
    """Return what the unit runs and how. One that answers counts as started once it does, which others wait for."""
    waits = f"{sys.executable} -P -m flows.services.health {service.health} $MAINPID"
    return [
        *(["Type=oneshot", "RemainAfterExit=yes"] if service.once else ["Type=simple", f"ExecStartPost={waits}"]),
        "ExecStart=" + " ".join(_quoted(word.replace("$", "$$")) for word in with_path(service.command)),
        *(f"PassEnvironment={key}" for key in service.inherited),  # systemctl set-environment KEY=...
        *(f"Environment={_quoted(f'{key}={value}')}" for key, value in sorted(service.environment.items())),
        *([f"Environment={_quoted(f'PYTHONPATH={path}')}"] if (path := _workloads()) else []),
        *([f"EnvironmentFile={SECRETS}/{service.name}.env"] if service.secrets else []),
        f"User={USER}",
        f"StateDirectory={STATE.name}",
        "StateDirectoryMode=0700",
        f"WorkingDirectory={STATE}",
        "TimeoutStartSec=600",
        "TimeoutStopSec=30",
        f"Restart={'on-failure' if service.once else 'always'}",
        "RestartSec=2",
        # The lock that lets one measurement at a time take place on a machine is there.
        *(["ReadWritePaths=/tmp"] if service.name == "worker" else ["PrivateTmp=yes", "PrivateDevices=yes"]),
        *HARDENING,
    ]


def _workloads() -> str:
    """Return the folders of PYTHONPATH, where users' workloads are, as absolute paths."""
    folders = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return os.pathsep.join(str(Path(each).resolve()) for each in folders)


def hidden_places(site: Site) -> list[str]:
    """Return what the units need and cannot see, as folders of users are hidden from them."""
    needed = [
        Path(sys.executable).absolute(),  # a virtual environment, which may link to an interpreter elsewhere
        Path(sys.executable).resolve(),
        Path(__file__).resolve(),
        Path(site.prefect_file),
        *map(Path, site.recipes),
        *map(Path, filter(None, _workloads().split(os.pathsep))),
    ]
    return [str(each) for each in needed if each.is_relative_to("/home") or each.is_relative_to("/root")]


def _quoted(word: str) -> str:
    """Return a word as systemd reads it: specifiers in it mean nothing."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if escaped != word or " " in word or "=" in word else word


def _text(sections: dict[str, list[str]]) -> str:
    return "\n".join("\n".join((f"[{name}]", *lines, "")) for name, lines in sections.items())
