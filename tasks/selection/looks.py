"""Looks: each decision on the test rows is written into the registry's ledger before the rows are read."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from deployments.recipe import Recipe
from deployments.workload import Split
from quality_gates.evidence import Unanswered
from quality_gates.verdict import Look, Verdict
from tasks.job import Job
from tasks.registry import Grant, LookLedger, TakenLook
from tasks.upstream import DeviceContext

logger = logging.getLogger("edgewright")
GRANT = "edgewright looks grant"


@dataclass(frozen=True)
class RecordedLook:
    """A look that is in the ledger, and what it means for the gates."""

    ledger: LookLedger
    taken: TakenLook
    look: Look

    @property
    def withheld(self) -> Unanswered | None:
        """The reason why the rows may not be looked at, and what to do; None where they may."""
        return withheld(self.look)

    def closed(self, verdict: Verdict) -> Verdict:
        """Record what the gates said, and return the verdict with its look."""
        self.ledger.close(self.taken, verdict.outcome)
        return verdict.at(self.look)


def ledger_of(tracking_uri: str, recipe: Recipe, test: Split) -> LookLedger:
    """Return the ledger of a recipe's gates at a test split."""
    return LookLedger(tracking_uri, test.digest, recipe.gates_digest)


def take_look(context: DeviceContext) -> RecordedLook:
    """Record that the gates look at the test rows for one version on one device under one recipe.

    However often that is repeated or killed, it is one look. Raises RegistryUnavailable, so that no row is read
    without a record.
    """
    job, recipe = context.job, context.job.recipe
    ledger = ledger_of(job.workspace.tracking_uri, recipe, job.splits["test"])
    said = {"model": job.model, "version": job.version, "device": context.device.name, "recipe": recipe.name}
    attempt = {"when": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}", "run": context.device_run, "again": job.again}
    taken = ledger.take(job.question_key(context.device), said, attempt)
    number = taken.number or len(ledger.looks())
    return RecordedLook(ledger, taken, _counted(recipe, number, max(number, ledger.in_all()), ledger.grants()))


def next_look(job: Job, question_key: str) -> Look:
    """Return the look that an answer would take now, without taking it: its own, where it was taken before."""
    ledger = ledger_of(job.workspace.tracking_uri, job.recipe, job.splits["test"])
    looks = ledger.looks()
    own = next((look for look in looks if look.key == question_key), None)
    number = len(looks) + 1 if own is None or own.number is None else own.number
    return _counted(job.recipe, number, max(number, ledger.in_all()), ledger.grants())


def warn_of_worn_rows(job: Job) -> None:
    """Warn of devices whose gates will be inconclusive, as all looks at the test rows are taken."""
    if job.recipe.alpha_spending is None:
        return
    for device in job.devices:
        worn = withheld(next_look(job, job.question_key(device)))
        if worn is not None:
            logger.warning("%s: every gate will be inconclusive: %s %s", device.name, worn.reason, worn.remedy)


def withheld(look: Look) -> Unanswered | None:
    """Return why no rows may be looked at any more, and what to do; None while looks are left."""
    if not look.is_too_many:
        return None
    return Unanswered(
        f"All {look.allowed:,} looks of these gates at the test rows are taken, and another one would show nothing.",
        f"Give the workload new test rows, or let a named person decide to go on, with {GRANT}.",
    )


def _counted(recipe: Recipe, number: int, in_all: int, grants: list[Grant]) -> Look:
    spending = recipe.alpha_spending
    if spending is None:
        return Look(number=number, in_all=in_all)
    granted = sum(grant.looks for grant in grants)
    allowed = spending.looks + granted
    return Look(number=number, in_all=in_all, allowed=allowed, granted=granted, level=spending.level)
