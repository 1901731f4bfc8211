"""The recipe of a family: several registered models, one a task, that are compressed together on one backbone.

What a member says of its own task becomes a part of the whole: its gates are gates on the test rows of its task, its
workload is a part of a joint one. So all that a recipe of one model goes through, a family goes through too.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from deployments.recipe.family_member import FamilyMember, is_of_the_file
from deployments.recipe.model_recipe import Recipe
from deployments.techniques import Distil
from quality_gates.gates import Gate
from quality_gates.policy import SliceCondition

if TYPE_CHECKING:  # torch is loaded with the first workload
    from deployments.workload import Workload

FEWEST = 2
"""The fewest members of a family: one alone shares its backbone with none."""
_MEMBERS = TypeAdapter(tuple[FamilyMember, ...])
_GATES = TypeAdapter(tuple[Gate, ...])


class FamilyRecipe(Recipe):
    """Instructions for a family: several registered models with one backbone, compressed and published as one model."""

    workload: str = ""
    """The workloads of the members; a family has no `workload` key of its own."""
    distil: Distil | None = None
    """Nothing: a student is made for one model alone."""
    gates: Annotated[tuple[Gate, ...], Field(strict=False)] = ()
    """All gates: those of the members, each on the rows of its own task, then the family's own, on the whole file."""
    members: Annotated[tuple[FamilyMember, ...], Field(strict=False)]
    """The models of the family."""
    backbone: Annotated[str, Field(min_length=1)] | None = None
    """Layer of the first member's program at which the backbone ends, such as `encoder.layer4`. Without it, the
    backbone is all that the members' programs share."""

    @model_validator(mode="before")
    @classmethod
    def _compiled(cls, given: Any) -> Any:
        """Put what follows from the members in its place; a compiled recipe stays as it is when it is read again."""
        if not isinstance(given, Mapping):
            return given
        try:
            members = _MEMBERS.validate_python(given.get("members"))
            own = _GATES.validate_python(given.get("gates", ()))
        except ValidationError:
            return given  # the checks of the keys themselves say what is wrong
        workload = ", ".join(member.workload for member in members)
        if given.get("workload") not in (None, workload):
            raise ValueError("key `workload`: expected none, as each of the `members` has its own; remove it")
        gates = [gate for member in members for gate in member.family_gates]
        of_the_file = [gate for gate in own if gate not in gates]
        for gate in of_the_file:
            if not is_of_the_file(gate):
                raise ValueError(
                    f"key `gates`: {gate.name}: expected a gate on the whole file, a limit of a resource or one of the "
                    f"kinds parity and representativeness, got the kind {gate.kind}; move it to the `gates` of a member"
                )
        return {**given, "members": members, "workload": workload, "gates": (*gates, *of_the_file)}

    @field_validator("members")
    @classmethod
    def _are_several(cls, members: tuple[FamilyMember, ...]) -> tuple[FamilyMember, ...]:
        names = [member.name for member in members]
        if len(members) < FEWEST:
            raise ValueError(
                f"expected {FEWEST} members or more, got {len(members)}; a model that shares its backbone with no "
                "other has a recipe without `members`"
            )
        if twice := next(_repeated(names), None):
            raise ValueError(f"expected members of different names, got {twice} twice; rename one")
        return members

    @model_validator(mode="after")
    def _fits_a_family(self) -> "FamilyRecipe":
        if self.distil is not None:
            raise ValueError(
                "key `distil`: expected none beside `members`, as a student is made for one model alone; remove it"
            )
        return self

    @property
    def whole_tests(self) -> tuple[SliceCondition, ...]:
        """The rows of each task, which are all the rows that its member alone would have."""
        return tuple(member.rows for member in self.members)

    @property
    def gates_of_models(self) -> tuple[tuple[Gate, ...], ...]:
        """The gates of each member."""
        return tuple(member.family_gates for member in self.members)

    @property
    def workloads_key(self) -> str:
        """The members as JSON, without what rows do not depend on."""
        return json.dumps([member.model_dump(mode="json", exclude={"gates", "model"}) for member in self.members])

    def load_workload(self) -> "Workload":
        """Import the workload of each member and make one of them all, the same rows of several members once.

        Raises:
            ConfigurationError: a module does not import, a class is no usable workload, or the members do not fit.
        """
        from deployments.families import FamilyTask, JointWorkload
        from deployments.workload import load_workload

        tasks = (
            FamilyTask(member.name, member.workload, load_workload(member.workload), member.outputs, member.weight)
            for member in self.members
        )
        return JointWorkload(tuple(tasks))


def _repeated(names: Sequence[str]) -> Iterator[str]:
    return (name for place, name in enumerate(names) if name in names[:place])
