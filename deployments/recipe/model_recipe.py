"""The recipe: the model, its devices, the techniques to try and the gates that a release must hold."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from deployments.device import DeviceProfile, Name
from deployments.recipe.family_member import FamilyMember
from deployments.recipe.references import ModelName, WorkloadReference
from deployments.rungs import Rung
from deployments.techniques import PREFER, Distil, KeepStructure, Prune, Search
from deployments.yaml_file import Frozen
from quality_gates.gates import (
    Floors,
    Gate,
    GatePolicy,
    Parity,
    ProvenInstructionSet,
    check_shows,
    critical_slices,
    floors_of,
    without_floor,
)
from quality_gates.policy import AlphaSpending, OnInconclusive, SliceCondition
from quality_gates.representativeness import RepresentativenessPolicy
from quality_gates.sign_off import check_asked

if TYPE_CHECKING:  # torch is loaded with the first workload
    from deployments.workload import Workload

NONE = "none"
_NOT_ASKED = {"kind", "name", "confidence"}


def _or_the_word(word: str) -> Callable[[dict[str, Any]], None]:
    """Let a schema take a word that recipes write in place of a section."""
    return lambda schema: schema.update(anyOf=[{"const": word}, *schema["anyOf"]])


WHEN = ("follow", "newer", "again_after_days", "layer_losses")
"""Keys that say when a run is wanted or what it tells last, and nothing about the answer that comes of it."""


class FollowedAlias(Frozen):
    """An alias of the registered model, set by people or by their own pipeline."""

    alias: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=255)]
    """Name of the alias, such as champion."""


class Recipe(Frozen):
    """Instructions for every new version of one upstream model. Its digest is its version."""

    name: Name
    """Name of the recipe, as logs and MLflow show it."""
    model: ModelName
    """Name of the registered model in MLflow."""
    workload: WorkloadReference
    """The user's Python class with the data, the loss and the score, as `package.module:Class`."""
    follow: Literal["versions"] | FollowedAlias = "versions"
    """The versions that want an answer by themselves: each new one, or the one that an alias names."""
    newer: Literal["finish", "supersede"] = "finish"
    """A newer version while an older one waits or is compressed: `finish` answers each of them, `supersede` cancels the
    older one and keeps its finished stages."""
    again_after_days: Annotated[float, Field(gt=0)] | None = None
    """Days after which the newest answer is asked for again although nothing changed; never where it is left out."""
    trust_pickled_modules: bool
    """True permits to unpickle a registered module, which runs its author's code; false refuses it."""
    devices: Annotated[tuple[DeviceProfile, ...], Field(min_length=1, strict=False)]
    """Names of profiles' files in `devices/` beside the recipe's folder, then of shipped ones; or paths of files."""
    accept_unproven_instruction_set: bool = False
    """True publishes a file whose rows another instruction set than the device's answered, and shows it in amber. False
    refuses it; it is the default, so that only who writes true takes the risk."""
    show_test_rows: bool = False
    """True shows rows of the test split in the report, with their right answers. False shows flipped rows of validation
    and of test only counts; it is the default, because who learns from test rows has none left to judge by."""
    layer_losses: bool = True
    """False leaves out what each layer costs. That is measured after the release; see `compress --dry-run`."""
    prune: Prune
    """Pruning, shared by all devices. The section is needed, but not used, for a model that is only an ONNX file."""
    distil: Distil | None = None
    """A student for each device, beside the pruned models; not for a family."""
    keep_structure: KeepStructure | None = Field(default=None, json_schema_extra=_or_the_word(PREFER))
    """`prefer` tries the structure of what is deployed first, so that updates are small. Where a gate does not hold
    with it, and without the key, the structure is chosen anew."""
    critical_weight: Annotated[float, Field(ge=1)] = 1
    """Factor by which rows of critical slices are trained on more often; a slice or class with a gate of its own is
    critical."""
    representativeness: RepresentativenessPolicy | None = None
    """Compare the training and calibration rows with the workload's sample from the deployment sites."""
    search: Search | None = None
    """Look at models and rungs together. Without it, the ladder ends at the first rung that holds."""
    ladder: Annotated[tuple[Rung, ...], Field(min_length=1, strict=False)]
    """Ways of quantization to try, in any order: they are climbed from cheap to costly."""
    gates: Annotated[tuple[Gate, ...], Field(min_length=1, strict=False)]
    """Gates that a release must hold, beside the budgets of the device. All must pass."""
    first: Literal["floors", "accept"] = "floors"
    """A first release on a device needs a `limit` on every critical slice or class (`floors`); `accept` only warns
    where it has none."""
    alpha_spending: AlphaSpending | None = Field(default=None, json_schema_extra=_or_the_word(NONE))
    """False passes over all looks at one test split: `none`, where each look has the gates' own confidence, or a total
    over a number of looks, each of which is then tested at an equal share of it."""

    sign_off: Literal[1, 2] | None = None
    """Persons who must sign before a version that passed its gates is published on a device. Without it, none."""
    sign_off_within_days: Annotated[float, Field(gt=0, le=3650)] | None = None
    """Days within which they must have signed; needed beside `sign_off`. After that the version is refused."""
    signers: Annotated[Mapping[str, str], Field(default_factory=dict)]
    """Names of the persons who may sign, each with an ed25519 public key in base64, as `edgewright sign-off-key` prints
    it. Only their signatures count then. Without it, a name is a claim, and is shown as one."""
    members: Annotated[tuple[FamilyMember, ...], Field(strict=False)] = ()
    """The models of a family, two or more, each of which answers one task on the backbone that all of them share. Each
    has a workload and gates of its own, so that the recipe has no `workload`; its `gates` are about the whole file."""

    @field_validator("alpha_spending", mode="before")
    @classmethod
    def _word_for_nothing(cls, given: object) -> object:
        return None if given == NONE else given

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
        check_shows(self.gates)
        check_asked(self.sign_off, self.sign_off_within_days, self.signers)
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
        """The sha256 of everything that the recipe says, its device profiles included."""
        none = set() if self.members else {"members"}
        return hashlib.sha256(self.model_dump_json(exclude=none).encode()).hexdigest()

    @property
    def critical_slices(self) -> list[SliceCondition]:
        """The slices that have gates of their own, in the recipe's order; a class is that of its right answers."""
        return list(critical_slices(self.gates, self.whole_tests))

    @property
    def whole_tests(self) -> tuple[SliceCondition, ...]:
        """Slices that are the whole test of a model, and no critical part of one; none for a recipe of one model."""
        return ()

    @property
    def gates_of_models(self) -> tuple[tuple[Gate, ...], ...]:
        """The gates on the answers of each model: all gates, for a recipe of one model."""
        return (self.gates,)

    def gates_of(self, _task: str) -> tuple[Gate, ...]:
        """Return the gates on the rows of a task; a recipe of one model has one task, which has no name."""
        return self.gates

    @property
    def workloads_key(self) -> str:
        """A text that is the same for recipes of one workload, so that its rows are read once."""
        return self.workload

    def load_workload(self) -> "Workload":
        """Import the workload and make one.

        Raises:
            ConfigurationError: the module does not import, or the class is no usable workload.
        """
        from deployments.workload import load_workload

        return load_workload(self.workload)

    def policy(self, device: DeviceProfile) -> GatePolicy:
        """Return the recipe's gates, the device's budgets, and the gates that the pipeline adds.

        Those are about critical slices without a floor, and about the instruction set that answered.
        """
        proven = ProvenInstructionSet(on_inconclusive="warn" if self.accept_unproven_instruction_set else "fail")
        return GatePolicy(gates=(*self.tested_gates, *device.budgets.limits(), *self._floors(), proven))

    def search_policy(self, device: DeviceProfile) -> GatePolicy:
        """Return the gates for snapshots and rungs on the way: all but those that decide once, at the end."""
        gates = [gate for gate in self.tested_gates if not gate.decides_once]
        return GatePolicy(gates=(*gates, *device.budgets.limits()))

    def rungs(self, device: DeviceProfile) -> list[Rung]:
        """Return the rungs whose precision a device allows, from cheap to costly."""
        return sorted((rung for rung in self.ladder if rung.precision in device.precisions), key=lambda rung: rung.cost)

    @property
    def answer_gates(self) -> tuple[Gate, ...]:
        """The gates that look at nothing but a candidate's answers, so that they hold for a model in any form."""
        return tuple(gate for gate in self.tested_gates if gate.by_answers)

    @property
    def tested_gates(self) -> tuple[Gate, ...]:
        """The gates at the confidence at which they are tested: higher than their own where false passes are spent."""
        if self.alpha_spending is None:
            return self.gates
        return tuple(gate.at_confidence(1 - self.alpha_spending.level) for gate in self.gates)

    @property
    def asks_for_anchor(self) -> bool:
        """True where a gate compares with the anchor."""
        return any(getattr(gate, "against", None) == "anchor" for gate in self.gates)

    @property
    def gates_digest(self) -> str:
        """The sha256 of what the gates ask of answers: looks at a test split count under it.

        Names, order, repetitions, keys at their defaults and the confidence do not count, nor do gates that ask nothing
        of answers. How sure a look is, is its level, which the ledger adds up.
        """
        asked = {_asked(gate) for gate in self.gates if gate.demand != "nothing"}
        return hashlib.sha256("\n".join(sorted(asked)).encode()).hexdigest()

    @property
    def look_level(self) -> float:
        """The share of false passes that one look may spend: that of the recipe, else that of its laxest gate."""
        if self.alpha_spending is not None:
            return self.alpha_spending.level
        given = (getattr(gate, "confidence", None) for gate in self.gates if gate.demand == "proof")
        return max((round(1 - confidence, 12) for confidence in given if confidence is not None), default=0.0)

    def _floors(self) -> tuple[Floors, ...]:
        bare = without_floor(self.gates, whole_tests=self.whole_tests)
        if not bare:
            return ()
        accepted: OnInconclusive = "warn" if self.first == "accept" else "fail"
        return (Floors(slices=bare, held=floors_of(self.gates), on_inconclusive=accepted),)


def _asked(gate: Gate) -> str:
    """Return what a gate asks as a text, the same for slices of the same rows in other words."""
    asked = {"kind": gate.kind, **gate.model_dump(mode="json", exclude=_NOT_ASKED, exclude_defaults=True)}
    condition: SliceCondition | None = getattr(gate, "slice", None)
    if condition is not None:
        asked["slice"] = sorted({_rows_of(part) for part in condition.parts})
    return json.dumps(asked, sort_keys=True)


def _rows_of(part: SliceCondition) -> str:
    values = sorted(map(repr, part.one_of or () if part.equals is None else (part.equals,)))
    return repr((part.column, values, part.start, part.stop, part.above, part.below))
