"""Selection of the file for a device: attempts of rungs on models, the ladder or a search, and the gates' one look.

In comes a device's context with its snapshots and student; out go all attempts with their reasons, and the judgement of
the gates on the test rows. Validation rows decide while searching; test rows decide once.
"""

from tasks.selection.attempts import Attempt, Climb, DeviceTrials, Model, References, Trials, references
from tasks.selection.deployed_structure import keep_structure
from tasks.selection.kept_structures import KeptStructure
from tasks.selection.ladder import Judgement, climb, judge
from tasks.selection.looks import ledger_of, next_look, take_look, warn_of_worn_rows, withheld
from tasks.selection.search import pareto

__all__ = [
    "Attempt",
    "Climb",
    "DeviceTrials",
    "Judgement",
    "KeptStructure",
    "Model",
    "References",
    "Trials",
    "climb",
    "judge",
    "keep_structure",
    "ledger_of",
    "next_look",
    "pareto",
    "references",
    "take_look",
    "warn_of_worn_rows",
    "withheld",
]
