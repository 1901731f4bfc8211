"""The environment of every test: nothing phones home, and nothing is unpickled by a library's default."""

import os

from flows.environment import QUIET

os.environ.update(QUIET)
