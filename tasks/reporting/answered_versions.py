"""The answer under a recipe as a version's own page tells it, made of the outcome and the keys of its devices."""

import time
from collections.abc import Mapping
from dataclasses import replace

from tasks.answer_parts import AnswerKeys
from tasks.outcomes import DeviceOutcome, Outcome
from tasks.registry import UNDECIDED, Answered, AnsweredDevice


def answered_with(
    outcome: Outcome, before: Answered | None, answer_key: str | None, keys: Mapping[str, AnswerKeys] | None,
    attempts: int,
) -> Answered:  # fmt: skip
    """Return what a version was answered with; keys that are not given are those that were told `before`."""
    known = before.devices if before is not None else {}
    if keys is None:
        keys = {name: AnswerKeys(each.key, each.question, each.parts) for name, each in known.items()}
    told = {line.device: _of_line(line) for line in outcome.devices}
    failed = {each.device: AnsweredDevice(UNDECIDED if each.asked_again else "error") for each in outcome.failures}
    rest = {name: AnsweredDevice(outcome.answer) for name in keys} if outcome.error else {}  # it ended all that asked
    found = {name: _with_keys(each, keys.get(name)) for name, each in (rest | failed | told).items()}
    of_today = {each.device for each in outcome.failures if each.of_today}
    stays = {name for name, each in found.items() if name in of_today or _stands(known.get(name), each, name in rest)}
    devices = {name: each for name, each in found.items() if name not in stays}
    ended = int(1000 * time.time())
    return Answered(
        model=outcome.model,
        version=outcome.version,
        recipe=outcome.recipe,
        run=outcome.run_id,
        answer=outcome.answer,
        ended=ended,
        key=answer_key or (before.key if before is not None else ""),
        attempts=attempts,
        decided=ended if outcome.answer != UNDECIDED else 0 if before is None else before.decided,
        devices={name: known[name] for name in known if name in keys and name not in devices} | devices,
    )


def _stands(known: AnsweredDevice | None, found: AnsweredDevice, of_version: bool) -> bool:
    """Tell whether an earlier answer under the same key counts still, as this run decided nothing about the device."""
    same = known is not None and known.key == found.key and known.answer != UNDECIDED
    return same and (found.answer == UNDECIDED or of_version)


def _of_line(line: DeviceOutcome) -> AnsweredDevice:
    asked = line.sign_off if line.waits else None
    return AnsweredDevice(
        line.answer,
        final=line.is_no_second_chance and not line.published,
        withheld=line.withheld,
        release=line.release if line.published else None,
        against=None if asked is None else line.held_against,
        until=None if asked is None else int(1000 * asked.until.timestamp()),
    )


def _with_keys(device: AnsweredDevice, keys: AnswerKeys | None) -> AnsweredDevice:
    if keys is None:
        return device
    return replace(device, key=keys.key, question=keys.question, parts=dict(keys.parts))
