"""The writing of the first files: where they go, and that nothing which is there is ever written over."""

import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from deployments.device import Name
from deployments.errors import ConfigurationError
from deployments.recipe import ModelName
from deployments.yaml_loader import load_yaml


@dataclass(frozen=True)
class FilePlaces:
    """The paths of the files in a folder, for a model and a device."""

    folder: Path
    model: str
    device: str

    @property
    def module(self) -> str:
        """The name of the workload's module: the model's, unless a module of that name is installed."""
        name = re.sub(r"\W", "_", self.model.lower(), flags=re.ASCII)
        name = name if name.isidentifier() else f"model_{name}"
        return f"{name}_workload" if self._is_taken(name) else name

    @property
    def workload(self) -> Path:
        """The Python file of the workload."""
        return self.folder / f"{self.module}.py"

    @property
    def recipe(self) -> Path:
        """The recipe."""
        return self.folder / "recipes" / f"{self.recipe_name}.yaml"

    @property
    def recipe_name(self) -> str:
        """The name of the recipe, of letters that names have."""
        return re.sub(r"[^a-z0-9]+", "-", self.model.lower()).strip("-") or "model"

    @property
    def profile(self) -> Path:
        """The device profile."""
        return self.folder / "devices" / f"{self.device}.yaml"

    def _is_taken(self, name: str) -> bool:
        try:
            found = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return True
        return found is not None and Path(found.origin or "") != (self.folder / f"{name}.py").resolve()


def check_names(model: str, device: str | None) -> None:
    """Raise ConfigurationError where a recipe could not name the model, or a profile the device."""
    remedies = (
        (ModelName, model, "register the model under such a name"),
        (Name, device, "correct --device"),
    )
    for kind, name, remedy in remedies:
        try:
            TypeAdapter(kind).validate_python(name) if name is not None else None
        except ValidationError as error:
            raise ConfigurationError(f"{error.errors()[0]['msg']}, got {name!r}; {remedy}") from None


def as_text(name: str) -> str:
    """Return a name such that YAML reads a text: in quotes where it would be a number, a date, true or nothing."""
    try:
        return name if load_yaml(name) == name else json.dumps(name)
    except yaml.YAMLError:
        return json.dumps(name)


def check_free(*paths: Path) -> None:
    """Raise ConfigurationError for the first path at which there is something."""
    for path in paths:
        if path.exists():
            raise ConfigurationError(
                f"{path}: expected no such file, got one, and none is ever written over; give another folder with "
                "--to, or move it away"
            )


def write_new(path: Path, text: str) -> Path:
    """Write a file that is not there yet; raises ConfigurationError where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        check_free(path)
    return path


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Let modules of a folder be imported inside, also those that were just written."""
    place = str(folder.resolve())
    sys.path.insert(0, place)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(place)
