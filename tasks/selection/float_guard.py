"""A chosen file beside the float file of the same model: where latency matters, a slower one is not chosen over it."""

import logging
from dataclasses import replace

from deployments.rungs import AsItIs
from tasks.selection.attempts import Attempt, Climb, Trials
from tasks.selection.search import why_not
from tasks.selection.told_advances import tell_attempt
from tasks.upstream import DeviceContext

logger = logging.getLogger("edgewright")
FLOAT = AsItIs(kind="float")
ALIKE = 1.015
"""Ratio up to which a file counts as no slower. Identical files that are timed in turns differ by up to 3 %, by the
table in docs/device-profiles.md; with half of that, what is chosen here is within 3 % when it is timed again."""


def not_slower_than_float(context: DeviceContext, trials: Trials, found: Climb) -> Climb:
    """Return the choice with the float file in the place of a slower one that was made of the same model.

    Both are timed in turns, where latency matters, the device runs float, and the float file holds every gate on
    validation. It is made and measured for this, whether the ladder lists it or not. Where the machine is too busy to
    compare, the choice stays, and its reasons say so. Of a file that has something to say of itself, such as one with
    recurrent layers, the times are told in any case.
    """
    chosen = found.chosen
    if not found.held or isinstance(chosen.rung, AsItIs):
        return found
    if not context.latency_matters or FLOAT.precision not in context.device.precisions:
        return _told(trials, found) if chosen.file.note else found
    known = (tried for tried in found.attempts if tried.snapshot is chosen.snapshot and tried.rung == FLOAT)
    whole = next(known, None)
    if whole is None:
        whole = trials.attempt(chosen.snapshot, FLOAT)
        found = replace(found, attempts=(*found.attempts, whole))
        tell_attempt(context, whole, len(found.attempts), 0)
    ended = _beside(trials, found, whole)
    logger.info("%s: %s", context.device.name, ended.why[0] if ended.chosen is whole else ended.why[-1])
    return ended


def _beside(trials: Trials, found: Climb, whole: Attempt) -> Climb:
    chosen = found.chosen
    if not whole.verdict.passed:
        missed = ", ".join(sorted(whole.missed))
        return _kept(found, f"Its float file is no choice, because it misses {missed}.")
    times = trials.in_turns(chosen)
    if times is None or times[0] <= ALIKE * times[1]:
        return _kept(found, _compared(times))
    said = _said(times)
    yes = f"Why {whole.title}: it holds every gate on validation, and {chosen.rung.title} is slower, with {said}."
    others = (sentence for sentence in found.why[1:] if not sentence.startswith(f"Why not {whole.rung.title} there"))
    return replace(found, chosen=whole, why=(yes, why_not(chosen), *others))


def _told(trials: Trials, found: Climb) -> Climb:
    return _kept(found, _compared(trials.in_turns(found.chosen)))


def _compared(times: tuple[float, float] | None) -> str:
    if times is None:
        return "Whether its float file is faster is not known: the machine was too busy to compare them."
    return f"It is {'not ' if times[0] <= ALIKE * times[1] else ''}slower than float: {_said(times)}."


def _said(times: tuple[float, float]) -> str:
    return f"{times[0]:.3g} ms a row against {times[1]:.3g} ms of its float file, timed in turns"


def _kept(found: Climb, sentence: str) -> Climb:
    return replace(found, why=(*found.why, sentence))
