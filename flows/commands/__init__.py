"""Groups of commands of `edgewright`: first files, decisions of persons, what recipes are asked, families, exports.

In come arguments of the command line; out go lines on the terminal. Each imports what it needs when it is called, so
that `edgewright --help` loads neither torch nor MLflow.
"""

from flows.commands.beginning_command import init_command
from flows.commands.cost_table import print_cost
from flows.commands.decision_commands import anchor, hold, looks, rollback_command
from flows.commands.exports import export_command
from flows.commands.family_commands import check_family, composed_version, family
from flows.commands.recipe_commands import gates, recipes

__all__ = [
    "anchor",
    "check_family",
    "composed_version",
    "export_command",
    "family",
    "gates",
    "hold",
    "init_command",
    "looks",
    "print_cost",
    "recipes",
    "rollback_command",
]
