"""Wheels out of which a workload reads its data: downloaded by a command of the Makefile, never installed."""

import os
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from deployments.errors import ConfigurationError


@dataclass(frozen=True)
class Wheels:
    """The wheels of one data set, which `command` downloads; `variable` may name another folder that has them."""

    title: str
    variable: str
    command: str

    def path(self, pattern: str) -> Path:
        """Find a downloaded wheel; raises ConfigurationError."""
        folder = Path(os.environ.get(self.variable, Path(sys.prefix) / "data"))
        found = sorted(folder.glob(pattern))
        if not found:
            raise ConfigurationError(
                f"{self.title}: expected {pattern} in {folder}, got no such file; run {self.command}, which downloads "
                f"it, or set {self.variable} to the folder that has it"
            )
        return found[-1]

    def opened(self, pattern: str) -> zipfile.ZipFile:
        """Open a downloaded wheel; raises ConfigurationError where it is not there or broke off."""
        path = self.path(pattern)
        try:
            return zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise ConfigurationError(
                f"{self.title}: expected {path} to be a whole wheel, got {error}; delete it and run {self.command}"
            ) from error
