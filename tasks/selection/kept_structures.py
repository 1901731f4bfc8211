"""Tries of what a deployed release has: attempts, and a sentence on what came of them."""

from dataclasses import dataclass, replace

from tasks.compression import Trajectory
from tasks.selection.attempts import Attempt, Climb
from tasks.selection.search import why_chosen


@dataclass(frozen=True)
class KeptStructure:
    """The try of the deployed structure: a sentence on what came of it and why, and the attempt if one was made.

    `trajectory` leads from the parent to the attempt's model; it is there where the attempt goes to the gates.
    `before` are attempts that were made before it and are not used.
    """

    sentence: str
    attempt: Attempt | None = None
    trajectory: Trajectory | None = None
    before: tuple[Attempt, ...] = ()

    def after_it(self, found: Climb) -> Climb:
        """Return what was found with another structure, as what was tried after this one."""
        known = {tried.file.digest for tried in found.attempts}
        made = (*self.before, *(() if self.attempt is None else (self.attempt,)))
        tried = tuple(each for each in made if each.file.digest not in known)
        return replace(found, attempts=(*tried, *found.attempts), why=(self.sentence, *found.why))

    def climb(self, attempt: Attempt) -> Climb:
        """Return the attempt that goes to the gates, with those before it, as all that was tried."""
        tried, noted = (*self.before, attempt), filter(None, [attempt.file.note])
        why = (self.sentence, *why_chosen(attempt, list(tried), "accuracy", ()), *noted)
        return Climb(tried, attempt, attempt.verdict.passed, why)
