"""The ledger of looks: each decision of gates on test rows, and the share of false passes that it spends of a total.

In come the sketch of a test split, what the gates ask, and what the recipe spends on a look; out come the number of a
look that is taken, or the reason why none is left. Grants of named persons go beyond what the recipe allows.
"""

from tasks.registry.looks.ledger import LookLedger
from tasks.registry.looks.look_budget import Grant, LookBudget, Spending, TakenLook, spent

__all__ = ["Grant", "LookBudget", "LookLedger", "Spending", "TakenLook", "spent"]
