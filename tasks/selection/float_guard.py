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
ALIKE = 1.03  # identical files that are timed in turns differ by up to 3 %, by the table in docs/device-profiles.md


def not_slower_than_float(context: DeviceContext, trials: Trials, found: Climb) -> Climb:
    """Return the choice with the float file in the place of a slower one that was made of the same model.

    Both are timed in turns, where latency matters, the device runs float, and the float file holds every gate on
    validation. It is made and measured for this, whether the ladder lists it or not. Where the machine is too busy to
    compare, the choice stays, and its reasons say so.
    """
    chosen = found.chosen
    asked = found.held and context.latency_matters and not isinstance(chosen.rung, AsItIs)
    if not asked or FLOAT.precision not in context.device.precisions:
        return found
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
    times = trials.in_turns(chosen, whole)
    if times is None:
        return _kept(found, "Whether its float file is faster is not known: the machine was too busy to compare them.")
    said = f"{times[0]:.3g} ms a row against {times[1]:.3g} ms of its float file, timed in turns"
    if times[0] <= ALIKE * times[1]:
        return _kept(found, f"It is not slower than float: {said}.")
    yes = f"Why {whole.title}: it holds every gate on validation, and {chosen.rung.title} is slower, with {said}."
    others = (sentence for sentence in found.why[1:] if not sentence.startswith(f"Why not {whole.rung.title} there"))
    return replace(found, chosen=whole, why=(yes, why_not(chosen), *others))


def _kept(found: Climb, sentence: str) -> Climb:
    return replace(found, why=(*found.why, sentence))
