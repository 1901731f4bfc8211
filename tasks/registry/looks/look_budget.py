"""The budget of false passes at test rows: which looks count, what they spent, and whether there is room for more."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

MOST = 0.5
"""The share of a split's rows beyond which looks at another split count as looks at this one."""
_ROUNDING = 1e-6  # of one look, for sums of levels


@dataclass(frozen=True)
class Spending:
    """The share of false passes that one look may spend, and the total that its recipe sets; None where it has none."""

    level: float
    total: float | None = None


@dataclass(frozen=True)
class TakenLook:
    """A look in the ledger: the run that records it, its key, its number, what it may spend, and its history.

    `number` is None where no row was read: it was withheld, or its writer was killed. `claim` is a number that its
    writer has asked for and not taken yet, which nobody else may take. `rows` is the share of the test rows that its
    split has. `said` names the version, device and recipe; `attempts` tell each time that it was asked for, and
    `outcome` what the gates said last.
    """

    run: str
    key: str
    started: int
    number: int | None
    claim: int | None
    spending: Spending
    split: str
    rows: float
    said: Mapping[str, str]
    attempts: tuple[Mapping[str, Any], ...]
    outcome: str

    @property
    def counts(self) -> bool:
        """True where the look has spent its level at these rows, or is about to."""
        return (self.number or self.claim) is not None and self.rows > MOST


@dataclass(frozen=True)
class Grant:
    """Looks that a named person granted beyond what a recipe allows, the level of each, and why."""

    looks: int
    level: float
    by: str
    reason: str


@dataclass(frozen=True)
class LookBudget:
    """The looks of some gates and the grants at some test rows, and what a recipe would spend on one more look.

    The total is the smallest under which any look was taken, so that no later recipe makes it larger. Only grants add
    to it.
    """

    looks: tuple[TakenLook, ...]
    grants: tuple[Grant, ...]
    spending: Spending
    split: str

    def own(self, key: str) -> TakenLook | None:
        """Return the look of a key at this split; one under the same key at other rows is another look."""
        return next((look for look in self.looks if (look.key, look.split) == (key, self.split)), None)

    def others(self, key: str) -> list[TakenLook]:
        """Return the looks that count, without that of a key."""
        own = self.own(key)
        return [look for look in self.looks if look.counts and look is not own]

    def stated_total(self) -> float | None:
        """Return the total that holds without grants; None where no look was taken under one and none is asked for."""
        totals = [self.spending.total, *(look.spending.total for look in self.looks if look.counts)]
        return min((total for total in totals if total is not None), default=None)

    def total(self) -> float | None:
        """Return the total with what was granted."""
        stated = self.stated_total()
        return None if stated is None else stated + sum(grant.looks * grant.level for grant in self.grants)

    def left(self, key: str) -> float | None:
        """Return the share of false passes that looks other than that of a key have left; None without a total."""
        total = self.total()
        return None if total is None else max(0.0, total - spent(self.others(key)))

    def further(self, key: str) -> int | None:
        """Return how many looks there is room for beside those of others; None where nothing limits them."""
        left = self.left(key)
        return None if left is None or not self.spending.level else int(left / self.spending.level + _ROUNDING)

    def allowed(self, key: str) -> int | None:
        """Return the number of looks there can be in all, with that of a key; None where nothing limits them."""
        further = self.further(key)
        return None if further is None else len(self.others(key)) + further

    def has_room(self, key: str) -> bool:
        """Tell whether the look of a key may be taken beside all others."""
        return self.further(key) != 0

    def next_number(self, key: str) -> int:
        """Return a number for the look of a key that no other has or claims: the next one, or one that was given up."""
        after = len(self.others(key)) + 1
        return after if self.is_free(key, after) else min(filter(partial(self.is_free, key), range(1, after)))

    def is_free(self, key: str, number: int) -> bool:
        """Tell whether no other look has or claims a number."""
        return number not in {look.number or look.claim for look in self.others(key)}

    def near(self, least: float) -> float:
        """Return the largest share of these rows that splits of looks that do not count have; 0 below `least`."""
        shares = [look.rows for look in self.looks if look.number is not None and not look.counts]
        return max((share for share in shares if share > least), default=0.0)


def spent(looks: list[TakenLook]) -> float:
    """Return the largest chance that any of some looks passes falsely: their sum (Bonferroni's inequality)."""
    return sum(look.spending.level for look in looks)
