"""Needs of the tests of emulation; a machine without them skips these tests and says why."""

import os
import shutil
from pathlib import Path

import pytest

from tasks.emulation.sysroot import CONTENTS, root_folder

HOME = Path(os.environ.get("EDGEWRIGHT_HOME", ".edgewright")).resolve()

haswell = pytest.mark.skipif(
    shutil.which("qemu-x86_64-static") is None or os.uname().machine != "x86_64",
    reason="needs an x86 machine and Debian's package qemu-user-static",
)
arm = pytest.mark.skipif(
    shutil.which("qemu-aarch64-static") is None or not (root_folder(HOME, "aarch64") / CONTENTS).is_file(),
    reason="needs Debian's package qemu-user-static and `make emulators`",
)
