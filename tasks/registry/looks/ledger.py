"""The ledger of looks: every decision of gates on a test split, recorded before its rows are read.

It is an experiment of MLflow, with a run for each look and for each grant of further looks. A look belongs to a test
split and to what the gates ask, whatever model they ask it of.
"""

import json
import random
import time
from collections.abc import Mapping
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from deployments.leaks import RowSketch
from tasks.errors import SystemFailure
from tasks.registry.client import all_pages, client_for, experiment_id, unavailable
from tasks.registry.looks import ledger_records as records
from tasks.registry.looks.look_budget import MOST, Grant, LookBudget, Spending, TakenLook

EXPERIMENT = records.EXPERIMENT
WITHHELD = "withheld, no row was read"
ATTEMPTS = 20
_PAUSE_S = 0.2


class LookLedger:
    """The looks of some gates, by the digest of what they ask, at a test split and at those of largely its rows.

    `spending` is what the recipe spends on one look, and its total.
    """

    def __init__(self, tracking_uri: str, rows: RowSketch, gates: str, spending: Spending) -> None:
        self.client = client_for(tracking_uri)
        self.tracking_uri = tracking_uri
        self.experiment = experiment_id(self.client, EXPERIMENT)
        self.rows, self.gates, self.spending = rows, gates, spending

    def take(self, key: str, said: Mapping[str, str], attempt: Mapping[str, Any]) -> tuple[TakenLook, LookBudget]:
        """Record a look before it is taken; one under a key that was taken before is the same look once more.

        Return it, and all looks with it. It has a number where the rows may be read, and none where no room is left for
        it. Raises RegistryUnavailable, so that no row is read without a record, and RegistryError for a damaged record.
        """
        try:
            look = self._read().own(key) or self._begun(key, said)
            self.client.set_terminated(look.run)  # nobody works on a record; a kill may have left it open
            next_attempt = records.next_attempt(self.client.get_run(look.run))
            self.client.set_tag(look.run, next_attempt, json.dumps(dict(attempt)))
            self._settle(key)
            budget = self._read()
            taken = _found(budget, key)
            self._tell(taken, records.OPEN)
            return taken, budget
        except MlflowException as error:
            raise unavailable(self.tracking_uri, error) from error

    def close(self, look: TakenLook, outcome: str) -> None:
        """Record what the gates said at a look."""
        try:
            self._tell(look, outcome)
        except MlflowException as error:
            raise unavailable(self.tracking_uri, error) from error

    def read(self) -> LookBudget:
        """Return the looks of these gates at the split and at others of its rows, the earliest first, and the grants.

        Raises RegistryError for a damaged record.
        """
        try:
            return self._read()
        except MlflowException as error:
            raise unavailable(self.tracking_uri, error) from error

    def by_other_gates(self) -> int:
        """Return how many looks other gates took at the split."""
        try:
            found = self._search({records.SPLIT: self.rows.digest})
        except MlflowException as error:
            raise unavailable(self.tracking_uri, error) from error
        taken = [run.data.tags for run in found if records.NUMBER in run.data.tags]
        looks = {(tags.get(records.GATES), tags.get(records.LOOK)) for tags in taken}
        return sum(gates != self.gates for gates, _ in looks)

    def grant(self, grant: Grant) -> None:
        """Record further looks that a person grants."""
        noun = "look" if grant.looks == 1 else "looks"
        try:
            run = self._create(f"{grant.looks:,} {noun} granted by {grant.by}", records.tags_of_grant(grant))
            self.client.set_terminated(run)
        except MlflowException as error:
            raise unavailable(self.tracking_uri, error) from error

    def _begun(self, key: str, said: Mapping[str, str]) -> TakenLook:
        self._create(f"{_subject(said)}: look not numbered yet", records.tags_of_look(key, self.spending, said))
        return _found(self._read(), key)  # of another writer, where one was earlier

    def _settle(self, key: str) -> None:
        """Give the look of a key its number, unless no room is left for it.

        A writer claims a number first, and takes it where nobody else has or claims it then. Of two that claim at the
        same time, at least one sees the other; who sees another gives up and tries again. So two never take the same
        number, nor both the last one. A claim counts as taken until it is given up, so that a kill loosens nothing.
        Raises SystemFailure where others take each number.
        """
        for attempt in range(ATTEMPTS):
            budget = self._claimed(key)
            own = _found(budget, key)
            if own.number is not None or own.claim is None:
                return
            if budget.has_room(key) and budget.is_free(key, own.claim):
                self.client.set_tag(own.run, records.NUMBER, str(own.claim))
                return
            self.client.delete_tag(own.run, records.CLAIM)
            time.sleep(random.uniform(0, _PAUSE_S * (attempt + 1)))
        raise SystemFailure(
            f"experiment {EXPERIMENT}: expected a number for a look at the test split, got none in {ATTEMPTS} "
            "attempts, as others took each of them; run again"
        )

    def _claimed(self, key: str) -> LookBudget:
        """Claim a number for the look of a key, where it has none and there is room, and read all looks again."""
        budget = self._read()
        own = _found(budget, key)
        if own.number is not None or own.claim is not None or not budget.has_room(key):
            return budget
        self.client.set_tag(own.run, records.CLAIM, str(budget.next_number(key)))
        return self._read()

    def _tell(self, look: TakenLook, outcome: str) -> None:
        """Write what came of a look, also into the name of its run."""
        shown = WITHHELD if look.number is None else outcome
        self.client.set_tag(look.run, records.OUTCOME, shown)
        number = "no look" if look.number is None else f"look {look.number:,}"
        self.client.update_run(look.run, name=f"{_subject(look.said)}: {number}, {shown}")

    def _read(self) -> LookBudget:
        """Return what the ledger has of these gates at rows of which some are this split's, the earliest first."""
        found = [run for run in self._search({records.GATES: self.gates}) if records.is_record(run)]
        shares = {run.info.run_id: self.rows.share_in(records.rows_of(run)) for run in found}
        looks: dict[tuple[str, str], TakenLook] = {}
        grants = []
        for run in sorted(found, key=lambda each: (each.info.start_time, each.info.run_id)):
            share = shares[run.info.run_id]
            if records.GRANTED in run.data.tags:
                grants += [records.grant_of(run)] if share > MOST else []
            elif share:
                look = records.look_of(run, share)
                known = looks.setdefault((look.key, look.split), look)
                if known.number is None and look.number is not None:
                    looks[look.key, look.split] = look  # two writers began it, and this one's record has the number
        return LookBudget(tuple(looks.values()), tuple(grants), self.spending, self.rows.digest)

    def _search(self, tags: Mapping[str, str]) -> list[Run]:
        condition = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        return all_pages(
            lambda token: self.client.search_runs([self.experiment], condition, max_results=1000, page_token=token)
        )

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        every = {**tags, **records.tags_of_rows(self.rows, self.gates)}
        return str(self.client.create_run(self.experiment, run_name=name, tags=every).info.run_id)


def _found(budget: LookBudget, key: str) -> TakenLook:
    look = budget.own(key)
    if look is None:
        raise SystemFailure(
            f"experiment {EXPERIMENT}: expected the look that was just written, got none; see who deletes its runs, "
            "and run again"
        )
    return look


def _subject(said: Mapping[str, str]) -> str:
    """Return the model, its version and the device, as runs are named."""
    return f"{said.get('model', '-')} v{said.get('version', '-')} {said.get('device', '-')}"
