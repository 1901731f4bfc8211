"""Looks: each decision on the test rows is written into the registry's ledger before the rows are read."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from deployments.leaks import sketch_of
from deployments.recipe import Recipe
from deployments.workload import Split
from quality_gates.evidence import Unanswered
from quality_gates.verdict import Look, Verdict
from tasks.job import Job
from tasks.registry import LookBudget, LookLedger, Spending, TakenLook, spent
from tasks.upstream import DeviceContext

logger = logging.getLogger("edgewright")
NEAR = 0.05
"""The share of the test rows from which looks at another split that do not count are told."""


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
    total = None if recipe.alpha_spending is None else recipe.alpha_spending.total
    return LookLedger(tracking_uri, sketch_of(test), recipe.gates_digest, Spending(recipe.look_level, total))


def take_look(context: DeviceContext) -> RecordedLook:
    """Record that the gates look at the test rows for one version on one device under one recipe.

    However often that is repeated or killed, it is one look. Raises RegistryUnavailable, so that no row is read
    without a record.
    """
    job, recipe = context.job, context.job.recipe
    ledger = ledger_of(job.workspace.tracking_uri, recipe, job.splits["test"])
    said = {"model": job.model, "version": job.version, "device": context.device.name, "recipe": recipe.name}
    attempt = {"when": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}", "run": context.device_run, "again": job.again}
    key = job.question_key(context.device)
    taken, budget = ledger.take(key, said, attempt)
    return RecordedLook(ledger, taken, _counted(budget, key, taken.number, ledger.by_other_gates()))


def next_look(job: Job, question_key: str) -> Look:
    """Return the look that an answer would take now, without taking it: its own, where it was taken before."""
    return _next(ledger_of(job.workspace.tracking_uri, job.recipe, job.splits["test"]), question_key)


def warn_of_worn_rows(job: Job) -> None:
    """Warn of devices whose gates will be inconclusive, and of looks at these rows that a recipe does not tell of."""
    ledger, told = ledger_of(job.workspace.tracking_uri, job.recipe, job.splits["test"]), set[str]()
    for device in job.devices:
        look = _next(ledger, job.question_key(device))
        worn = withheld(look)
        if worn is not None:
            logger.warning("%s: every gate will be inconclusive: %s %s", device.name, worn.reason, worn.remedy)
        for warning in look.warnings:
            if warning not in told:
                logger.warning("%s", warning)
        told |= set(look.warnings)


def withheld(look: Look) -> Unanswered | None:
    """Return why no rows may be looked at any more, and what to do; None while looks are left."""
    return Unanswered(look.reason, look.remedy) if look.is_withheld else None


def _next(ledger: LookLedger, key: str) -> Look:
    budget = ledger.read()
    own = budget.own(key)
    number = own.number if own is not None else None
    if number is None and budget.has_room(key):
        number = budget.next_number(key)
    return _counted(budget, key, number, ledger.by_other_gates())


def _counted(budget: LookBudget, key: str, number: int | None, by_other_gates: int) -> Look:
    """Return a look with its number, whether it is in the budget already or would be."""
    others, level, total = budget.others(key), budget.spending.level, budget.total()
    allowed, stated, own = budget.allowed(key), budget.stated_total(), budget.spending.total
    taken = len(others) + (number is not None)
    return Look(
        number=number,
        taken=taken,
        elsewhere=sum(look.split != budget.split for look in others),
        in_all=taken + by_other_gates,
        allowed=None if allowed is None else max(allowed, number or 0),
        granted=sum(grant.looks for grant in budget.grants),
        level=level,
        spent=round(spent(others) + (level if number is not None else 0.0), 12),
        total=None if total is None else round(total, 12),
        kept=stated if stated is not None and (own is None or own > stated) else None,
        near=budget.near(NEAR),
    )
