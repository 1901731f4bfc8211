"""One member of a family: a registered model that answers one task, with its own data and gates."""

from typing import Annotated

from pydantic import Field, field_validator

from deployments.recipe.references import ModelName, WorkloadReference
from deployments.rows import TASK
from deployments.yaml_file import Frozen, WrittenAs
from quality_gates.errors import PolicyError
from quality_gates.gates import Gate, Limit, Parity, Representative, check_shows, of_rows
from quality_gates.policy import SliceCondition

_KEY = "key `gates`: "


class FamilyMember(Frozen):
    """One model of a family: its task, its data, and the gates on its own test rows."""

    name: Annotated[
        str, WrittenAs(r"[A-Za-z][A-Za-z0-9_]{0,63}", "a name of letters, digits and underscores, such as orientation")
    ]
    """Name of the task, as reports, gates and files of heads show it."""
    model: ModelName
    """Name of the registered model in MLflow that answers this task alone."""
    workload: WorkloadReference
    """The user's Python class with the data, the loss and the score of this task, as `package.module:Class`."""
    outputs: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)]
    """Shape of the model's output for one row, such as `[10]` for ten classes; `[]` for a single number."""
    weight: Annotated[float, Field(gt=0)] = 1
    """Factor of this task's loss beside those of the other tasks in training."""
    gates: Annotated[tuple[Gate, ...], Field(min_length=1, strict=False)]
    """Gates on this task's own test rows, against its own parent. Resources are limited by the devices' budgets."""

    @field_validator("gates")
    @classmethod
    def _are_about_this_task(cls, gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
        for gate in gates:
            if is_of_the_file(gate):
                what = f"a limit of {gate.resource}" if isinstance(gate, Limit) else f"the kind {gate.kind}"
                raise ValueError(
                    f"{gate.name}: expected a gate on the answers of this task, got {what}, which is about the whole "
                    "file; move it to the family's own `gates`"
                )
            if "slice" not in type(gate).model_fields:
                raise ValueError(
                    f"{gate.name}: expected a gate that can look at the rows of one task alone, got the kind "
                    f"{gate.kind}, which looks at all rows; remove it, or write a gate for each slice in question"
                )
        try:
            check_shows(gates)
        except PolicyError as error:
            raise ValueError(str(error).removeprefix(_KEY)) from error
        return gates

    @property
    def rows(self) -> SliceCondition:
        """The validation and test rows that ask this task."""
        return SliceCondition(column=TASK, equals=self.name)

    @property
    def family_gates(self) -> tuple[Gate, ...]:
        """The gates as the family has them: on the rows of this task, with the task in their names."""
        return tuple(of_rows(gate, self.rows, f"{self.name}: {gate.name}") for gate in self.gates)


def is_of_the_file(gate: Gate) -> bool:
    """Tell whether a gate is about the whole file, whatever tasks it answers."""
    return isinstance(gate, Parity | Representative) or (isinstance(gate, Limit) and gate.resource is not None)
