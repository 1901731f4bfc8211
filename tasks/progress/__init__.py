"""Progress of long stages: a bar on a terminal, and advances for whoever shows a run to people.

In come the steps of a training, the rounds, rungs and gates; out they go to a terminal and to one listener. Who shows
what is heard is no matter of the steps.
"""

from tasks.progress.advances import Advance, Cell, as_task, tell, told_to
from tasks.progress.bars import steps

__all__ = ["Advance", "Cell", "as_task", "steps", "tell", "told_to"]
