"""Releases: numbers that only grow, per model and device class, so that no older release replaces a newer one.

MLflow sets an alias whatever it named before, so the fence is a claim at the destination:

1. The number after all that were read before the check of what is deployed is claimed, which only one process can do.
2. The bundle is written, with the number in its lineage.
3. The claim is settled as `released`. Only one end of a claim can be created.
4. The repository is signed, so that devices are offered the bundle.
5. The registry gets the release, and the aliases move to it.

Whoever comes next completes what ended after 3, and settles as `abandoned` what ended before 3: the bundle is
then removed. A claim is dead when its process is gone or, on another host, when it is older than the lease.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.delivery.bundle_content import Publication
from tasks.delivery.claims import Claim
from tasks.delivery.destinations import Destination
from tasks.delivery.offers import Offers
from tasks.errors import Overtaken, PublishError, SystemFailure
from tasks.registry import Candidate, EdgeModels, EdgeVersion, Lineage

logger = logging.getLogger("edgewright")
LEASE_S = 900.0
"""Seconds after which a claim on another host counts as dead: a publication takes seconds."""
WAIT_S = 120.0
PAUSE_S = 0.2
ATTEMPTS = 20


@dataclass(frozen=True)
class Releases:
    """The releases of one model on one device class, at one destination."""

    destination: Destination
    models: EdgeModels
    device: str
    offers: Offers

    def recover(self) -> None:
        """Complete what was released without its alias, abandon dead claims, and wait for those that are alive.

        Raises SystemFailure where another process publishes for longer than two minutes.
        """
        deadline = time.monotonic() + WAIT_S
        while open_claims := self._settle_dead():
            if time.monotonic() > deadline:
                raise SystemFailure(
                    f"{self.models.model} on {self.device}: expected release {open_claims[0].release} to be finished "
                    f"by {open_claims[0].process}, got no end of it; see what holds it up, then run again"
                )
            time.sleep(PAUSE_S)
        self._complete()
        self.destination.sweep(self.models.model, self.device)

    def take(self, holder: str, against: int | None) -> int:
        """Claim the next number for a candidate's holder; it was held against the release `against`, None for nothing.

        Raises Overtaken where another release is deployed by now.
        """
        model, device = self.models.model, self.device
        for _ in range(ATTEMPTS):
            self.recover()
            known = self.destination.claims(model, device)
            if any(claim.end is None for claim in known) or self._without_alias(known) is not None:
                continue  # somebody came between
            deployed = self.models.deployed(device)  # whoever publishes after this takes the number that follows
            _check_same(model, device, deployed, against)
            numbers = [claim.release for claim in known] + ([] if deployed is None else [deployed.release])
            number = max([*numbers, self.offers.release(model, device)]) + 1
            if self.destination.claim(model, device, number, holder):
                return number
        raise SystemFailure(
            f"{model} on {device}: expected a release number, got none in {ATTEMPTS} attempts, as others took each of "
            "them; run again"
        )

    def model_before(self, number: int | None, folder: Path) -> Path | None:
        """Fetch the model of the last release before a number, None for the last of all; return its graph, if any."""
        claims = self.destination.claims(self.models.model, self.device)
        released = [claim.release for claim in claims if claim.end == "released"]
        before = [release for release in released if number is None or release < number]
        return self.destination.fetch(self.models.model, self.device, before[-1], folder) if before else None

    def keep(self, holder: str, number: int) -> bool:
        """Take the number that a candidate was released under before; False where it cannot be had here any more.

        Another holder has it, or an earlier attempt to write it here was given up.
        """
        if not self.destination.claim(self.models.model, self.device, number, holder):
            return False
        claims = self.destination.claims(self.models.model, self.device)
        return all(claim.end != "abandoned" for claim in claims if claim.release == number)

    @contextmanager
    def given_up_on_error(self, number: int) -> Iterator[None]:
        """Give up a number that is not released when the block ends in an error, so that nobody waits for it."""
        try:
            yield
        except BaseException:
            with suppress(Exception):  # the error itself is told; whoever comes next finds a claim of a dead process
                self.destination.settle(self.models.model, self.device, number, "abandoned", {})
                self.destination.sweep(self.models.model, self.device)
            raise

    def finish(self, publication: Publication, number: int, manifest: bytes) -> EdgeVersion:
        """Settle a claim as released, sign the manifest that was written, and move the aliases to the candidate.

        Raises Overtaken where it was abandoned meanwhile, or is another holder's by now.
        """
        model, device, holder = self.models.model, self.device, publication.holder
        candidate, description, tags = publication.candidate, publication.description, publication.tags
        if not self.destination.claim(model, device, number, holder):
            raise Overtaken(
                f"{model} on {device}: expected release {number} to be of {holder} still, got a claim of "
                "another; somebody removed the claims in between: run again"
            )
        note = {"candidate": asdict(candidate), "description": description, "tags": dict(tags)}
        if not self.destination.settle(model, device, number, "released", note):
            self.destination.sweep(model, device)
            raise Overtaken(
                f"{model} on {device}: expected to finish release {number}, got a claim that was given up after "
                f"{LEASE_S:g} s; run again"
            )
        before = self.models.deployed(device)
        if before is None or before.release <= number:
            self.offers.offer(model, device, number, [manifest])
        edge = self.models.release(device, candidate, number, description, tags)
        if before is None or before.release < number:
            self._give_way(number)
        return edge

    def _offer(self, number: int) -> None:
        """Sign the bundle of a release as what devices are offered, where it is not that yet."""
        model, device = self.models.model, self.device
        if self.offers.are_signed:
            self.offers.offer(model, device, number, self.destination.manifests(model, device, number))

    def _give_way(self, number: int) -> None:
        """Move the aliases to a later release that was published while they were moved to this one."""
        claims = self.destination.claims(self.models.model, self.device)
        later = [claim for claim in claims if claim.end == "released" and claim.release > number]
        if later:
            self._offer(later[-1].release)
            self._release(later[-1])

    def _settle_dead(self) -> list[Claim]:
        """Abandon the dead claims; return those that are open still."""
        model, device, now = self.models.model, self.device, time.time()
        open_claims = [claim for claim in self.destination.claims(model, device) if claim.end is None]
        for claim in open_claims:
            if claim.is_dead(now, LEASE_S) and self.destination.settle(model, device, claim.release, "abandoned", {}):
                logger.warning("%s: release %d was claimed by %s, which ended before it published; the number is "
                               "given up", device, claim.release, claim.process)  # fmt: skip
        return [claim for claim in open_claims if not claim.is_dead(now, LEASE_S)]

    def _complete(self) -> None:
        claims = self.destination.claims(self.models.model, self.device)
        released = [claim.release for claim in claims if claim.end == "released"]
        if released:
            self._offer(released[-1])
        last = self._without_alias(claims)
        if last is not None:
            logger.warning("%s: release %d was published without its alias; completing it", self.device, last.release)
            self._release(last)

    def _without_alias(self, claims: Sequence[Claim]) -> Claim | None:
        """Return the last release if the alias never named it; where it names another one now, a person moved it."""
        released = [claim for claim in claims if claim.end == "released"]
        if not released or self.models.was_deployed(self.device, released[-1].release):
            return None
        return released[-1]

    def _release(self, claim: Claim) -> None:
        candidate, note = _candidate_of(claim), claim.note
        description, tags = str(note.get("description", "")), dict(note.get("tags", {}))
        self.models.release(self.device, candidate, claim.release, description, tags)


def _check_same(model: str, device: str, deployed: EdgeVersion | None, against: int | None) -> None:
    found = None if deployed is None else deployed.release
    if found != against:
        raise Overtaken(
            f"{model} on {device}: expected {named(against)} to be deployed still, as the gates had seen, got "
            f"{named(found)}; it is held against that one"
        )


def named(release: int | None) -> str:
    """Return a release in words."""
    return "nothing" if release is None else f"release {release}"


def _candidate_of(claim: Claim) -> Candidate:
    try:
        stored: dict[str, Any] = dict(claim.note["candidate"])
        return Candidate(**stored | {"lineage": Lineage(**stored["lineage"])})
    except (KeyError, TypeError, ValueError) as error:
        raise PublishError(
            f"release {claim.release}: expected its record at the destination to name its file, got "
            f"{type(error).__name__}; publish a newer version"
        ) from error
