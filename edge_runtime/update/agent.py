"""One run of the update agent: what may be done now, what is offered, what is missing, and what is installed.

Trust and the install step are behind protocols; the carrier brings bytes that nobody trusts. A run ends with an
UpdateExit and leaves its endings in the state folder, for `status` and for people.
"""

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from edge_runtime.configuration import UpdateConfiguration
from edge_runtime.errors import EdgewrightError, TrustError
from edge_runtime.files import make_directories
from edge_runtime.service_manager import notify
from edge_runtime.update.blob_fetching import BlobFetching, OfferedDelta, RefusedDeltas, WantedBlob, remove_leftovers
from edge_runtime.update.carriers import (
    Carrier,
    DailyTraffic,
    Fetch,
    FolderCarrier,
    HeldBack,
    HttpCarrier,
    NotThere,
    Politeness,
    Unreachable,
)
from edge_runtime.update.ending_records import EndingRecords, ModelEnding
from edge_runtime.update.endings import SEVERITY, UpdateExit, exit_of
from edge_runtime.update.update_lock import AGENT_LOCK, exclusive

_SHOWN = 500
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OfferedRelease:
    """A verified manifest, the newest of a model for this device: its digest, its release number, and its files."""

    model: str
    digest: str
    release: str
    manifest: bytes
    blobs: Sequence[WantedBlob]
    deltas: Sequence[OfferedDelta]


class ReleaseSource(Protocol):
    """Metadata that is verified as it is fetched."""

    def refresh(self, fetch: Fetch) -> None:
        """Fetch and verify what is new. Raises TrustError; an UpdateError of `fetch` passes through."""

    def newest(self, model: str, fetch: Fetch) -> OfferedRelease | None:
        """Return the newest release of a model for this device, None where there is none. Raises as refresh does."""


class ReleaseInstaller(Protocol):
    """The install step, which knows no network."""

    @property
    def blobs(self) -> Path:
        """The folder of blobs, which exists."""

    def installed(self, model: str) -> str | None:
        """Return the digest of the bundle that runs, or None."""

    def check(self, release: OfferedRelease) -> None:
        """Raise InstallError for a release that would be refused, before its blobs are fetched; else make room."""

    def install(self, release: OfferedRelease) -> None:
        """Try a release whose blobs are there, and commit it. Raises InstallError where the old one stays."""


class UpdateAgent:
    """Runs of the agent with one configuration. `wall` is the local time, by which the window is judged."""

    def __init__(
        self,
        configuration: UpdateConfiguration,
        source: ReleaseSource,
        installer: ReleaseInstaller,
        *,
        wall: Callable[[], datetime] = datetime.now,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._configuration, self._source, self._installer = configuration, source, installer
        self._wall, self._sleep = wall, sleep
        self._records = EndingRecords(configuration.state / "update.json")
        self.endings: list[ModelEnding] = []
        """The ends of the last run, by model, also where nothing could be written down."""

    def run(self) -> UpdateExit:
        """Bring every model up to date where that is allowed, and return the gravest ending.

        Errors of the rooms and of the disk are endings, too. Without the agent's lock nothing is written down.
        """
        configuration = self._configuration
        try:
            make_directories(configuration.state)
            with exclusive(configuration.state / AGENT_LOCK):
                remove_leftovers(configuration.state, ".json")
                self.endings = self._alone()
        except (EdgewrightError, OSError, MemoryError) as error:
            self.endings = [self._ended(model, error) for model in configuration.models]
        return max((ending.exit for ending in self.endings), key=SEVERITY.index)

    def run_forever(
        self, afterwards: Callable[[], None] = lambda: None, uniform: Callable[[], float] = random.random
    ) -> None:
        """Run again and again, `interval_s` and up to `jitter_s` apart; for devices without a timer.

        `afterwards` is called after each run, when the agent's lock is free.
        """
        notify("READY=1")
        while True:
            self.run()
            afterwards()
            self._sleep(self._configuration.interval_s + uniform() * self._configuration.jitter_s)

    def _alone(self) -> list[ModelEnding]:
        try:
            with self._carrier() as carrier:
                endings = self._models(carrier)
        except (EdgewrightError, OSError, MemoryError) as error:
            endings = [self._ended(model, error) for model in self._configuration.models]
        self._records.write(endings)
        return endings

    def _models(self, carrier: Carrier) -> list[ModelEnding]:
        self._go_on(self._configuration.lock_wait_s)
        notify("STATUS=looking for updates")
        self._refresh(carrier)
        blobs = BlobFetching(
            carrier, self._installer.blobs, RefusedDeltas(self._configuration.state / "refused_deltas.json")
        )
        endings, offers = [], []
        for model in self._configuration.models:
            try:
                offer = self._source.newest(model, carrier)
                offers.append(offer)
                endings.append(self._model(model, offer, blobs))
            except (EdgewrightError, OSError, MemoryError) as error:
                endings.append(self._ended(model, error))
        known = [offer for offer in offers if offer is not None]
        if len(offers) == len(self._configuration.models):
            blobs.clean([blob for each in known for blob in each.blobs], [d for each in known for d in each.deltas])
        return endings

    def _refresh(self, carrier: Carrier) -> None:
        try:
            self._source.refresh(carrier)
        except TrustError as error:
            if not carrier.remembered:
                raise
            # A new root of trust may be there, which was not asked for because it was not there a short time ago.
            raise Unreachable(f"The metadata is not trusted yet, and is asked for again: {error}") from error

    def _model(self, model: str, offer: OfferedRelease | None, blobs: BlobFetching) -> ModelEnding:
        if offer is None:
            raise NotThere(f"No release of {model} for {self._configuration.device} is published.")
        if offer.digest == self._installer.installed(model):
            return ModelEnding(model, UpdateExit.DONE, "up to date", offer.release, offer.digest)
        self._check_pin(offer)
        self._installer.check(offer)
        notify(f"STATUS=fetching {model} {offer.release}")
        fetched = blobs.fetch(offer.blobs, offer.deltas)
        _log.info("%s %s: %s", model, offer.release, fetched)
        self._check_window()
        with exclusive(self._configuration.busy_lock, self._configuration.lock_wait_s, sleep=self._sleep):
            notify(f"STATUS=installing {model} {offer.release}")
            self._installer.install(offer)
        return ModelEnding(model, UpdateExit.DONE, "updated", offer.release, offer.digest)

    def _check_pin(self, offer: OfferedRelease) -> None:
        pin = self._configuration.pins.get(offer.model)
        if pin is not None and pin not in (offer.digest, offer.release):
            raise HeldBack(
                "pin", f"{offer.model} is pinned to {pin}; release {offer.release} ({offer.digest}) is held back."
            )

    def _check_window(self) -> None:
        window = self._configuration.window
        if window is not None and not window.holds(self._wall().time()):
            raise HeldBack("window", f"Updates are allowed from {window}, local time.")

    def _go_on(self, wait_s: float = 0.0) -> None:
        """Raise HeldBack where the window is closed or an application is busy."""
        self._check_window()
        with exclusive(self._configuration.busy_lock, wait_s, sleep=self._sleep):
            pass

    @contextmanager
    def _carrier(self) -> Iterator[Carrier]:
        carrier = open_carrier(self._configuration, self._go_on, self._sleep)
        try:
            yield carrier
        finally:
            carrier.close()

    def _ended(self, model: str, error: BaseException) -> ModelEnding:
        message = " ".join(str(error).split())[:_SHOWN] or type(error).__name__
        ending = ModelEnding(model, exit_of(error), message, reason=error.reason if isinstance(error, HeldBack) else "")
        _log.log(logging.INFO if ending.exit is UpdateExit.HELD_BACK else logging.WARNING, "%s: %s", model, message)
        return ending


def open_carrier(
    configuration: UpdateConfiguration, go_on: Callable[[], None], sleep: Callable[[float], None] = time.sleep
) -> Carrier:
    """Return the carrier for the configured URL; what it remembers lies in the state folder."""
    if configuration.folder is not None:
        return FolderCarrier(configuration.folder)
    return HttpCarrier(
        configuration.url,
        configuration.network,
        DailyTraffic(configuration.state / "traffic.json", configuration.network.bytes_per_day),
        Politeness(configuration.state / "politeness.json"),
        go_on=go_on,
        sleep=sleep,
    )
