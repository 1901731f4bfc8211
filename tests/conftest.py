"""The environment of every test: nothing phones home, no library unpickles by default, and no CI is seen."""

import os

from flows.environment import QUIET

os.environ.update(QUIET)
for name in ("CI", "GITHUB_ACTIONS"):
    os.environ.pop(name, None)  # torch, typer and others behave differently under them; users do not have them
