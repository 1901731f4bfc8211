"""The recipe: what to do with every new version of one upstream model."""

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from deployments.device import DeviceProfile, Name, read_device
from deployments.errors import ConfigurationError
from deployments.techniques import Distil, Dynamic, FineTune, PostTraining, Prune, QuantizationAware, Rung, Search
from deployments.yaml_file import Frozen, read_mapping, validated, written_as
from quality_gates.gates import Gate, GatePolicy, NonInferiority, Parity
from quality_gates.policy import SliceCondition
from quality_gates.representativeness import RepresentativenessPolicy

__all__ = [
    "Distil",
    "Dynamic",
    "FineTune",
    "PostTraining",
    "Prune",
    "QuantizationAware",
    "Recipe",
    "Rung",
    "Search",
    "read_recipe",
    "shipped_recipes",
]

RECIPES = Path(__file__).parent / "recipes"
ModelName = Annotated[
    str,
    written_as(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
        "the name of a registered model, of letters, digits, dots, dashes and underscores",
    ),
]
WorkloadReference = Annotated[
    str,
    written_as(
        r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*",
        "package.module:Class, such as deployments.workloads.digits:Digits",
    ),
]


class Recipe(Frozen):
    """What to do with every new version of one upstream model. Its digest is its version."""

    name: Name
    model: ModelName
    workload: WorkloadReference
    trust_pickled_modules: bool
    devices: Annotated[tuple[DeviceProfile, ...], Field(min_length=1, strict=False)]
    prune: Prune
    distil: Distil | None = None
    critical_weight: Annotated[float, Field(ge=1)] = 1  # how often a critical slice's rows are trained on, to others
    representativeness: RepresentativenessPolicy | None = None
    search: Search | None = None
    ladder: Annotated[tuple[Rung, ...], Field(min_length=1, strict=False)]
    gates: Annotated[tuple[Gate, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        names = [device.name for device in self.devices]
        if len(set(names)) != len(names):
            raise ValueError(
                f"key `devices`: expected different devices, got {', '.join(names)}; remove the one that is twice"
            )
        for device in self.devices:
            self.policy(device)
            self._can_be_emulated(device)
            if not self.rungs(device):
                raise ValueError(
                    f"key `ladder`: expected a rung of a precision that device {device.name} allows "
                    f"({', '.join(device.precisions)}), got none; add one"
                )
        return self

    def _can_be_emulated(self, device: DeviceProfile) -> None:
        asked = [gate for gate in self.gates if isinstance(gate, Parity) and gate.check == "emulated_native"]
        if asked and device.answers.kind != "emulated":
            raise ValueError(
                f"key `gates`: expected emulated answers on every device for {asked[0].name!r}, got native ones on "
                f"{device.name}; remove the gate, or give the profile `answers` of kind emulated"
            )

    @property
    def digest(self) -> str:
        """sha256 of everything that the recipe says, its device profiles included."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def critical_slices(self) -> list[SliceCondition]:
        """The slices that have gates of their own, in the recipe's order."""
        conditions = [gate.slice for gate in self.gates if isinstance(gate, NonInferiority) and gate.slice]
        return list(dict.fromkeys(conditions))

    def policy(self, device: DeviceProfile) -> GatePolicy:
        """The recipe's gates and the device's budgets."""
        return GatePolicy(gates=(*self.gates, *device.budgets.limits()))

    def search_policy(self, device: DeviceProfile) -> GatePolicy:
        """What snapshots and rungs are held against on the way: all but the gates that decide once, at the end."""
        gates = [gate for gate in self.gates if not gate.decides_once]
        return GatePolicy(gates=(*gates, *device.budgets.limits()))

    def rungs(self, device: DeviceProfile) -> list[Rung]:
        """The rungs whose precision a device allows, by their expected cost."""
        return sorted((rung for rung in self.ladder if rung.precision in device.precisions), key=lambda rung: rung.cost)

    @property
    def answer_gates(self) -> tuple[Gate, ...]:
        """The gates that look at nothing but a candidate's answers, so that they hold for a model in any form."""
        return tuple(gate for gate in self.gates if gate.by_answers)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe by its path or by the name of a shipped one, with the device profiles that it names.

    Profiles are looked for in `devices/` beside the recipe's folder, then among the shipped ones; a path of one is
    relative to the recipe's folder. Raises ConfigurationError.
    """
    path = _found(path)
    content = read_mapping(path)
    names = content.get("devices")
    if isinstance(names, list):
        content = content | {"devices": [_device(path, index, name) for index, name in enumerate(names)]}
    return validated(path, content, Recipe)


def shipped_recipes() -> list[Path]:
    """The recipe files that come with Edgewright."""
    return sorted(RECIPES.glob("*.yaml"))


def _found(path: Path) -> Path:
    for candidate in (path, RECIPES / f"{path}.yaml"):
        if candidate.is_file():
            return candidate
    shipped = ", ".join(recipe.stem for recipe in shipped_recipes())
    raise ConfigurationError(
        f"{path}: expected the path of a recipe or the name of a shipped one ({shipped}), got no such file; "
        "check the path"
    )


def _device(path: Path, index: int, name: object) -> DeviceProfile:
    if not isinstance(name, str):
        raise ConfigurationError(
            f"{path}: key `devices.{index}`: expected the name of a device profile, got {name!r}; "
            "write the profile into a file of its own"
        )
    folder = path.resolve().parent
    name = str(folder / name) if name.endswith((".yaml", ".yml")) else name
    try:
        return read_device(name, folder.parent / "devices")
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: key `devices.{index}`: {error}") from error
