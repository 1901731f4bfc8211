"""The device's configuration: one small TOML file, read strictly; EXAMPLE shows every key."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from edge_runtime.configuration.configuration_table import ConfigurationTable
from edge_runtime.configuration.network_settings import NetworkSettings
from edge_runtime.errors import BadConfiguration

CONFIGURATION = Path("/etc/edgewright/device.toml")
"""The configuration's place on a device."""
EXAMPLE = """\
device = "gateway"                        # the device profile
models = ["camera"]
url = "https://models.example.com/edge"   # or file:///media/usb, or a path that begins with /
state = "/var/lib/edgewright"             # the folder that the agent owns
root = "/usr/share/edgewright/root.json"  # the root of trust that the device was shipped with

[network]                                 # every table and each of its keys may be left out
proxy = "http://proxy:3128"               # default: the environment's; "" for none
bytes_per_day = 50_000_000                # default: no cap
timeout_s = 30                            # without an answer, or with nearly no bytes
ca_file = "/etc/ssl/own.pem"              # default: the system's
redirect_hosts = ["cdn.example.com"]      # default: the server itself alone

[window]                                  # local time; may cross midnight
from = "23:00"
to = "05:00"

[pins]
camera = 12                               # a release number, or a bundle's digest

[lock]
file = "/run/edgewright/busy.lock"        # default: busy.lock in the state folder
wait_s = 60                               # default: 0

[update]                                  # of `update --forever`; a timer has its own
interval_s = 3600
jitter_s = 600

[trial]                                   # limits of the smoke test of a new bundle
memory_mb = 512
time_s = 120

[tuning]                                  # what the device chooses from by measuring; answers are checked
graph = true                              # a graph that is optimized for this CPU
threads = [1, 2]                          # default: those of the bundle
providers = ["CPUExecutionProvider"]      # default: that of the bundle

[reports]                                 # without this table no report is made
url = "https://reports.example.com/box"   # a server that takes PUT, or a folder; default: only carried by hand
every_s = 3600
keep = 500                                # reports that wait; the oldest leaves when there are more
served_s = 60                             # so often what serves writes its figures down
"""
"""A configuration with all of its keys and what they are for."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")
_MOST_BYTES = 1 << 20
_MIN_INTERVAL_S = 60.0
_MB = 1 << 20
_MOST_THREADS = 256


@dataclass(frozen=True)
class MaintenanceWindow:
    """A part of each day in local time, its end excluded; it crosses midnight where it ends before it starts."""

    start: time
    end: time

    def holds(self, moment: time) -> bool:
        """Tell whether a time of the day lies in the window."""
        if self.start < self.end:
            return self.start <= moment < self.end
        return moment >= self.start or moment < self.end

    def __str__(self) -> str:
        return f"{self.start:%H:%M} to {self.end:%H:%M}"


@dataclass(frozen=True)
class TrialLimits:
    """Limits of the smoke test of a new bundle: memory in MB of 2**20 bytes, time in seconds."""

    memory_mb: int = 512
    time_s: float = 120.0


@dataclass(frozen=True)
class TuningChoices:
    """Choices that a device has for its models; empty `threads` and `providers` are those of a bundle."""

    graph: bool = True
    threads: tuple[int, ...] = ()
    providers: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportSettings:
    """The drop box of reports, "" for none but a person; how often one is made, and how many wait at most.

    Every `served_s` seconds the process that serves writes its figures down.
    """

    url: str = ""
    every_s: float = 3600.0
    keep: int = 500
    served_s: float = 60.0

    @property
    def folder(self) -> Path | None:
        """The folder that `url` names, or None where it names a server or nothing."""
        return _folder_of(self.url)


@dataclass(frozen=True)
class UpdateConfiguration:
    """All settings of a device. `pins` maps a model to a release number or a digest, both as text."""

    device: str
    models: tuple[str, ...]
    url: str
    state: Path
    root: Path
    busy_lock: Path
    lock_wait_s: float = 0.0
    interval_s: float = 3600.0
    jitter_s: float = 600.0
    network: NetworkSettings = field(default_factory=NetworkSettings)
    window: MaintenanceWindow | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    trial: TrialLimits = field(default_factory=TrialLimits)
    tuning: TuningChoices = field(default_factory=TuningChoices)
    reports: ReportSettings | None = None

    @property
    def folder(self) -> Path | None:
        """The folder that `url` names, or None where it names a server."""
        return _folder_of(self.url)


def _folder_of(url: str) -> Path | None:
    if url.startswith("/"):
        return Path(url)
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def read_configuration(path: Path | str) -> UpdateConfiguration:
    """Read a configuration; raises BadConfiguration with the key, what was expected and what was got."""
    try:
        with Path(path).open("rb") as file:
            text = file.read(_MOST_BYTES + 1).decode()
        if len(text) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
        document = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadConfiguration(f"{path}: expected a TOML file, got {reason}; mend it.") from error
    return parse_configuration(document, str(path))


def parse_configuration(document: Mapping[str, Any], source: str) -> UpdateConfiguration:
    """Make a configuration of a TOML document; `source` names it in messages. Raises BadConfiguration."""
    top = ConfigurationTable(source, "", document)
    models = top.texts("models", _NAME, "names of models")
    state = top.path("state")
    lock, update = top.table("lock"), top.table("update")
    configuration = UpdateConfiguration(
        device=top.text("device", _NAME, "the name of a device profile"),
        models=models,
        url=_url(top),
        state=state,
        root=top.path("root"),
        busy_lock=lock.path("file", state / "busy.lock"),
        lock_wait_s=lock.number("wait_s", 0.0, 0.0, 86400.0),
        interval_s=update.number("interval_s", 3600.0, _MIN_INTERVAL_S, 31 * 86400.0),
        jitter_s=update.number("jitter_s", 600.0, 0.0, 86400.0),
        network=_network(top.table("network")),
        window=_window(top),
        pins=_pins(top.table("pins"), models),
        trial=_trial(top.table("trial")),
        tuning=_tuning(top.table("tuning")),
        reports=_reports(top.table("reports")) if top.has("reports") else None,
    )
    for table in (lock, update, top):
        table.close()
    return configuration


def _url(top: ConfigurationTable) -> str:
    url = top.text("url", None, "a URL")
    try:
        parts = urlsplit(url)
        known = url.startswith("/") or parts.scheme == "file" or (parts.scheme in ("http", "https") and parts.hostname)
        odd = parts.query or parts.fragment or parts.username or parts.password or parts.port == 0
    except ValueError:
        known, odd = None, None
    if not known or odd or (parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/"))):
        shown = url.rpartition("@")[2]  # what stands before it may be a password
        raise top.wrong(
            "url", "http://, https:// or file:/// with a path, without a user, a query or a fragment", shown
        )
    return url if parts.path == "/" else url.rstrip("/")


def _network(table: ConfigurationTable) -> NetworkSettings:
    proxy = table.text("proxy", None, "a URL, or an empty text", "") if table.has("proxy") else None
    if proxy and not _is_http(proxy):
        raise table.wrong("proxy", "a URL with http:// or https://", "another one")  # it may hold a password
    settings = NetworkSettings(
        proxy=proxy,
        bytes_per_day=table.whole("bytes_per_day", 100_000, 1 << 50) if table.has("bytes_per_day") else None,
        timeout_s=table.number("timeout_s", 30.0, 1.0, 600.0),
        ca_file=table.path("ca_file") if table.has("ca_file") else None,
        redirect_hosts=table.texts("redirect_hosts", _HOST, "names of hosts", ()),
    )
    table.close()
    return settings


def _is_http(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False


def _window(top: ConfigurationTable) -> MaintenanceWindow | None:
    if not top.has("window"):
        return None
    table = top.table("window")
    start, end = table.time_of_day("from"), table.time_of_day("to")
    if start == end:
        raise table.wrong("to", "another time than `from`", f"{end:%H:%M}")
    table.close()
    return MaintenanceWindow(start, end)


def _pins(table: ConfigurationTable, models: tuple[str, ...]) -> dict[str, str]:
    pins = {}
    for model in models:
        if table.has(model):
            pins[model] = table.text_or_number(model, _DIGEST, "a release number or a bundle's digest")
    table.close("one of the models")
    return pins


def _trial(table: ConfigurationTable) -> TrialLimits:
    limits = TrialLimits(table.whole("memory_mb", 16, _MB, 512), table.number("time_s", 120.0, 1.0, 86400.0))
    table.close()
    return limits


def _tuning(table: ConfigurationTable) -> TuningChoices:
    choices = TuningChoices(
        table.truth("graph", default=True),
        table.wholes("threads", 1, _MOST_THREADS),
        table.texts("providers", _NAME, "names of ONNX Runtime's execution providers", ()),
    )
    table.close()
    return choices


def _reports(table: ConfigurationTable) -> ReportSettings:
    settings = ReportSettings(
        _url(table) if table.has("url") else "",
        table.number("every_s", 3600.0, _MIN_INTERVAL_S, 31 * 86400.0),
        table.whole("keep", 1, 10_000, 500),
        table.number("served_s", 60.0, 1.0, 86400.0),
    )
    table.close()
    return settings
