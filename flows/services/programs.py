"""Programs of this installation, which services are started by."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


def with_path(command: Sequence[str]) -> list[str]:
    """Return a command with the path of its program: beside this Python, as in a virtual environment, or on the PATH.

    An installation for the whole system has its Python and its programs in two folders.
    """
    program, *arguments = command
    beside = Path(sys.executable).parent / program
    return [str(beside) if beside.exists() else shutil.which(program) or program, *arguments]
