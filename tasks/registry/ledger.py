"""The ledger of looks: every decision of gates on a test split, recorded before its rows are read.

It is an experiment of MLflow, with a run for each look and for each grant of further looks. A look belongs to a test
split and to what the gates ask, whatever model they ask it of.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from tasks.errors import SystemFailure
from tasks.registry.client import all_pages, client_for, experiment_id, unavailable

EXPERIMENT = "edgewright.ledger"  # those of models are named edgewright-MODEL
SPLIT = "edgewright.split"
GATES = "edgewright.gates"
LOOK = "edgewright.look"
NUMBER = "edgewright.look_number"
ATTEMPT = "edgewright.attempt."
OUTCOME = "edgewright.outcome"
GRANTED = "edgewright.granted_looks"
GRANTED_BY = "edgewright.granted_by"
GRANT_REASON = "edgewright.grant_reason"
OPEN = "not decided yet"
ATTEMPTS = 20


@dataclass(frozen=True)
class TakenLook:
    """A look in the ledger: the run that records it, its key, its number among those of its gates, and its history.

    `number` is None for one whose writer was killed before it had one. `said` names the version, device and recipe;
    `attempts` tell each time that it was taken, and `outcome` what the gates said last.
    """

    run: str
    key: str
    started: int
    number: int | None
    said: Mapping[str, str]
    attempts: tuple[Mapping[str, Any], ...]
    outcome: str


@dataclass(frozen=True)
class Grant:
    """Looks that a named person granted beyond what a recipe allows, and why."""

    looks: int
    by: str
    reason: str


class LookLedger:
    """The looks of some gates, by the digest of what they ask, at one test split, by the digest of its rows."""

    def __init__(self, tracking_uri: str, split: str, gates: str) -> None:
        self.client = client_for(tracking_uri)
        self.tracking_uri = tracking_uri
        self.experiment = experiment_id(self.client, EXPERIMENT)
        self.split, self.gates = split, gates

    def take(self, key: str, said: Mapping[str, str], attempt: Mapping[str, Any]) -> TakenLook:
        """Record a look before it is taken; one under a key that was taken before is the same look once more.

        Two that are recorded at the same time get different numbers: each counts again after it has written its own.
        Raises RegistryUnavailable, so that no row is read without a record.
        """
        try:
            known = next((look for look in self._looks() if look.key == key), None)
            look = known or self._begun(key, said)
            self.client.set_terminated(look.run)  # nobody works on a record; a kill may have left it open
            self.client.set_tag(look.run, f"{ATTEMPT}{len(look.attempts) + 1}", json.dumps(dict(attempt)))
            self.client.set_tag(look.run, OUTCOME, OPEN)
            return self._numbered(key)
        except MlflowException as error:
            raise unavailable(self.tracking_uri, error) from error

    def close(self, look: TakenLook, outcome: str) -> None:
        """Record what the gates said at a look."""
        try:
            self.client.set_tag(look.run, OUTCOME, outcome)
        except MlflowException as error:
            raise unavailable(self.tracking_uri, error) from error

    def looks(self) -> list[TakenLook]:
        """Return the looks of these gates at the split, the earliest first, each key once."""
        try:
            return self._looks()
        except MlflowException as error:
            raise unavailable(self.tracking_uri, error) from error

    def in_all(self) -> int:
        """Return how many looks were taken at the split, by any gates."""
        try:
            found = self._search({SPLIT: self.split})
        except MlflowException as error:
            raise unavailable(self.tracking_uri, error) from error
        return len({(run.data.tags.get(GATES), run.data.tags[LOOK]) for run in found if LOOK in run.data.tags})

    def grant(self, grant: Grant) -> None:
        """Record further looks that a person grants."""
        tags = {GRANTED: str(grant.looks), GRANTED_BY: grant.by, GRANT_REASON: grant.reason}
        try:
            self.client.set_terminated(self._create(f"{grant.looks} looks granted", tags))
        except MlflowException as error:
            raise unavailable(self.tracking_uri, error) from error

    def grants(self) -> list[Grant]:
        """Return the grants of further looks, the earliest first."""
        try:
            tags = [run.data.tags for run in self._mine() if GRANTED in run.data.tags]
        except MlflowException as error:
            raise unavailable(self.tracking_uri, error) from error
        return [Grant(int(each[GRANTED]), each.get(GRANTED_BY, ""), each.get(GRANT_REASON, "")) for each in tags]

    def _begun(self, key: str, said: Mapping[str, str]) -> TakenLook:
        told = {f"edgewright.{what}": text for what, text in said.items()}
        self._create(" ".join(said.values()), {**told, LOOK: key})
        return next(look for look in self._looks() if look.key == key)  # of another writer, where one was earlier

    def _numbered(self, key: str) -> TakenLook:
        """Return a look with a number that no other has; one that has it keeps it.

        It takes its place in the order of beginning. Where another took that number by a clock that is ahead, it takes
        the next one, so that two never count as one. Raises SystemFailure where others take each of them.
        """
        for _ in range(ATTEMPTS):
            looks = self._looks()
            place = next(index for index, look in enumerate(looks) if look.key == key)
            own, taken = looks[place], {look.number for look in looks if look.key != key and look.number is not None}
            if own.number is not None and own.number not in taken:
                return own
            number = place + 1 if place + 1 not in taken else max(taken) + 1
            self.client.set_tag(own.run, NUMBER, str(number))
        raise SystemFailure(
            f"experiment {EXPERIMENT}: expected a number for a look at the test split, got none in {ATTEMPTS} "
            "attempts, as others took each of them; run again"
        )

    def _looks(self) -> list[TakenLook]:
        found: dict[str, TakenLook] = {}
        for run in self._mine():
            if LOOK in run.data.tags:  # two writers may have begun the same look; the earlier record counts
                found.setdefault(run.data.tags[LOOK], _look_of(run))
        return list(found.values())

    def _mine(self) -> list[Run]:
        """Return the runs of these gates at this split, the earliest first."""
        found = self._search({SPLIT: self.split, GATES: self.gates})
        return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))

    def _search(self, tags: Mapping[str, str]) -> list[Run]:
        condition = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        return all_pages(
            lambda token: self.client.search_runs([self.experiment], condition, max_results=1000, page_token=token)
        )

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        every = {**tags, SPLIT: self.split, GATES: self.gates}
        return str(self.client.create_run(self.experiment, run_name=name, tags=every).info.run_id)


def _look_of(run: Run) -> TakenLook:
    tags = run.data.tags
    number = tags.get(NUMBER, "")
    said = {what: tags[f"edgewright.{what}"] for what in ("model", "version", "device", "recipe") if
            f"edgewright.{what}" in tags}  # fmt: skip
    numbered = sorted((int(key.removeprefix(ATTEMPT)), text) for key, text in tags.items() if key.startswith(ATTEMPT))
    return TakenLook(
        run.info.run_id, tags[LOOK], int(run.info.start_time), int(number) if number.isdecimal() else None, said,
        tuple(json.loads(text) for _, text in numbered), tags.get(OUTCOME, OPEN),
    )  # fmt: skip
