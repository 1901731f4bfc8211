"""The records of the ledger of looks: tags of MLflow's runs, written and read; damage by hand is named with its run."""

import json
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from mlflow.entities import Run

from deployments.leaks import RowSketch
from tasks.errors import RegistryError
from tasks.registry.looks.look_budget import Grant, Spending, TakenLook

EXPERIMENT = "edgewright.ledger"  # those of models are named edgewright-MODEL
SPLIT = "edgewright.split"
SKETCH = "edgewright.row_sketch"
GATES = "edgewright.gates"
LOOK = "edgewright.look"
LEVEL = "edgewright.level"
TOTAL = "edgewright.total"
CLAIM = "edgewright.look_claim"
NUMBER = "edgewright.look_number"
ATTEMPT = "edgewright.attempt."
OUTCOME = "edgewright.outcome"
GRANTED = "edgewright.granted_looks"
GRANTED_BY = "edgewright.granted_by"
GRANT_REASON = "edgewright.grant_reason"
OPEN = "not decided yet"
NONE = "none"
SAID = ("model", "version", "device", "recipe")
Read = TypeVar("Read")
logger = logging.getLogger("edgewright")


def tags_of_rows(rows: RowSketch, gates: str) -> dict[str, str]:
    """Return the tags that every record has: of the test rows and of what the gates ask."""
    return {SPLIT: rows.digest, SKETCH: rows.text, GATES: gates}


def tags_of_look(key: str, spending: Spending, said: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a look that begins."""
    total = NONE if spending.total is None else repr(spending.total)
    return {**{f"edgewright.{what}": text for what, text in said.items()}, LOOK: key, LEVEL: repr(spending.level),
            TOTAL: total}  # fmt: skip


def tags_of_grant(grant: Grant) -> dict[str, str]:
    """Return the tags of a grant."""
    return {GRANTED: str(grant.looks), LEVEL: repr(grant.level), GRANTED_BY: grant.by, GRANT_REASON: grant.reason}


def is_record(run: Run) -> bool:
    """Tell a look or a grant from a run that somebody else put there."""
    return not {LOOK, NUMBER, CLAIM, GRANTED}.isdisjoint(run.data.tags)


def rows_of(run: Run) -> RowSketch:
    """Return the sketch of the rows that a record is about. Raises RegistryError for a damaged one."""
    digest = _read(run, SPLIT, "the digest of a test split", str)
    return _read(run, SKETCH, "the sketch of its rows", lambda text: RowSketch.read(digest, text))


def look_of(run: Run, rows: float) -> TakenLook:
    """Return a look at a split that has a share of the test rows. Raises RegistryError for a damaged record.

    An attempt is history alone, so a damaged one is passed over with a warning.
    """
    tags = run.data.tags
    numbers = {tag: _read(run, tag, "a number from 1", _count) if tag in tags else None for tag in (NUMBER, CLAIM)}
    total = _read(run, TOTAL, "a share of false passes or none", lambda text: None if text == NONE else _share(text))
    return TakenLook(
        run=run.info.run_id,
        key=_read(run, LOOK, "the key of a look", str),
        started=int(run.info.start_time),
        number=numbers[NUMBER],
        claim=numbers[CLAIM],
        spending=Spending(_read(run, LEVEL, "a share of false passes", _share), total),
        split=_read(run, SPLIT, "the digest of a test split", str),
        rows=rows,
        said={what: tags[f"edgewright.{what}"] for what in SAID if f"edgewright.{what}" in tags},
        attempts=tuple(_attempts(run)),
        outcome=tags.get(OUTCOME, OPEN),
    )


def grant_of(run: Run) -> Grant:
    """Return a grant. Raises RegistryError for a damaged record."""
    return Grant(
        _read(run, GRANTED, "a number of looks from 1", _count),
        _read(run, LEVEL, "a share of false passes", _share),
        _read(run, GRANTED_BY, "the name of who granted them", _words),
        _read(run, GRANT_REASON, "the reason", _words),
    )


def next_attempt(run: Run) -> str:
    """Return the tag of the next attempt at a look."""
    numbers = [_number_of(tag) for tag in run.data.tags if tag.startswith(ATTEMPT)]
    return f"{ATTEMPT}{max([0, *(number for number in numbers if number is not None)]) + 1}"


def _attempts(run: Run) -> list[Mapping[str, Any]]:
    found = []
    for tag, text in run.data.tags.items():
        if tag.startswith(ATTEMPT):
            number, attempt = _number_of(tag), _object(text)
            if number is None or attempt is None:
                logger.warning(
                    "run %s of experiment %s: tag `%s`: expected an attempt at a look, got %r; it is passed over, "
                    "delete the tag in MLflow", run.info.run_id, EXPERIMENT, tag, text[:80],
                )  # fmt: skip
            else:
                found.append((number, attempt))
    return [attempt for _, attempt in sorted(found, key=lambda each: each[0])]


def _number_of(tag: str) -> int | None:
    number = tag.removeprefix(ATTEMPT)
    return int(number) if number.isascii() and number.isdecimal() else None


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        read = json.loads(text)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def _read(run: Run, tag: str, expected: str, read: Callable[[str], Read]) -> Read:
    text = run.data.tags.get(tag)
    try:
        if text is None:
            raise ValueError("no such tag")
        return read(text)
    except ValueError as error:
        got = "none" if text is None else repr(text[:80])
        raise RegistryError(
            f"run {run.info.run_id} of experiment {EXPERIMENT}: tag `{tag}`: expected {expected}, got {got}; correct "
            "the tag in MLflow, or delete the run, which forgets what it records"
        ) from error


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ValueError(text)
    return int(text)


def _share(text: str) -> float:
    share = float(text)
    if not (math.isfinite(share) and 0 <= share < 1):
        raise ValueError(text)
    return share


def _words(text: str) -> str:
    if not text.strip():
        raise ValueError(text)
    return text
