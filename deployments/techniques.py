"""The techniques of a recipe and their parameters, as they are written in YAML: training, pruning, students, search."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from deployments.yaml_file import Frozen
from edge_runtime.measurement import RESOURCES
from model_compression.settings import CostKind, Criterion, Device, FineTuning, Kind, Precision
from quality_gates.policy import one_of

RangeMethod = Literal["minmax", "entropy", "percentile"]
OBJECTIVES = {name: resource.objective for name, resource in RESOURCES.items() if resource.objective is not None} | {
    "accuracy": "the best validation accuracy"
}
"""A description of the best file by each objective."""
Objective: TypeAlias = Annotated[str, one_of(OBJECTIVES)]
Share = Annotated[float, Field(ge=0, le=1)]
PREFER = "prefer"


class FineTune(Frozen):
    """A training: how long, with which learning rate, and how much of the loss comes from the parent's answers."""

    epochs: Annotated[int, Field(ge=1)]
    """Passes over the training rows."""
    batch_size: Annotated[int, Field(ge=2)]
    """Rows of one training step."""
    learning_rate: Annotated[float, Field(gt=0)]
    """Learning rate of the first step; it falls to 0 along a cosine."""
    weight_decay: Annotated[float, Field(ge=0)]
    """Weight decay of the optimizer."""
    temperature: Annotated[float, Field(gt=0)]
    """Temperature that softens the parent's and the candidate's outputs for distillation."""
    distillation_weight: Share
    """Share of the loss that compares with the parent's answers; the rest compares with the ground truth."""
    seed: int
    """Seed of the order of rows and of everything else that is random."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Epochs without a better validation score after which training stops; the best epoch is kept."""
    device: Device = "auto"
    """Hardware to train on. `auto` is a GPU where there is one, else the processor."""
    precision: Precision = "auto"
    """Precision of matrix products. `auto` is bfloat16 where the hardware has it and the model gains by it."""
    gpus: Annotated[int, Field(ge=1)] = 1
    """GPUs that share each batch."""

    def settings(self) -> FineTuning:
        """Return the same settings as the training loop takes them."""
        return FineTuning(**self.model_dump())


class Vocabulary(Frozen):
    """Cut tables of tokens to the tokens that the training rows use; all others share one row."""

    unknown: Annotated[int, Field(ge=0)]
    """Number of the token whose row the others share."""
    seen: Annotated[int, Field(ge=1)]
    """Places in the training rows at which a token must occur to keep its row."""


class Prune(Frozen):
    """Remove units in rounds, with a fine-tuning after each.

    It ends when every device's budgets hold, at the accuracy floor, or when nothing is left to remove.
    """

    kind: Literal["structured"]
    """`structured`: whole units go, so that the model gets smaller on any hardware."""
    units: Annotated[tuple[Kind, ...], Field(min_length=1, strict=False)]
    """Units that may go: channels, attention heads, whole residual layers."""
    importance: Criterion
    """Measure of a unit's importance: first-order change of the loss, gradient times weight, or size of the weights."""
    weigh_by: Literal["channels", "binding"] | CostKind
    """Resource that importance is divided by. `binding` takes in each round the budget that is furthest away."""
    ratio: Annotated[float, Field(gt=0, le=0.5)]
    """Share of that resource that a round frees."""
    max_rounds: Annotated[int, Field(ge=1)]
    """Largest number of rounds."""
    round_to: Annotated[int, Field(ge=1)]
    """Widths stay multiples of this number, which some hardware prefers."""
    vocabulary: Vocabulary | None = None
    """Cut tables of tokens in the first round."""
    accuracy_floor: Share
    """Largest loss of validation accuracy that a snapshot may have against the parent."""
    at_most: Mapping[Kind, Share] = Field(default_factory=dict)
    """Largest share of the parent's units of a kind that all rounds together remove."""
    fine_tune: FineTune
    """Training after each round."""


class Distil(Frozen):
    """A student for each device: the widest of each depth that was measured to fit, trained on the parent's answers."""

    family: Literal["depthwise_cnn", "signal_net", "text_net", "own"]
    """Architecture of the student. `own` is the network that the workload's build_student() returns."""
    widths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, strict=False)]
    """Widths to try, ascending."""
    depths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, strict=False)]
    """Depths to try, ascending."""
    fine_tune: FineTune
    """Training of the student, from scratch."""

    @field_validator("widths", "depths")
    @classmethod
    def _ascending(cls, numbers: tuple[int, ...]) -> tuple[int, ...]:
        if list(numbers) != sorted(set(numbers)):
            raise ValueError(f"expected different numbers in ascending order, got {list(numbers)}; sort them")
        return numbers


class KeepStructure(Frozen):
    """The structure of what is deployed is tried first; the word `prefer` says so without a training of its own."""

    fine_tune: FineTune | None = None
    """Training on from the weights of what is deployed; without it, as after a round of pruning. The gentler it is, the
    smaller is the update, and the less the model follows its new parent."""

    @model_validator(mode="before")
    @classmethod
    def _in_a_word(cls, given: object) -> object:
        if isinstance(given, str) and given != PREFER:
            raise ValueError(f"expected {PREFER}, or a section with its own `fine_tune`, got {given!r}; correct it")
        return {} if given == PREFER else given


class Search(Frozen):
    """A budget for the search of each device's file, and the objective that chooses among those that hold.

    Candidates are held against the gates on validation rows.
    """

    objective: Objective
    """Figure by which the best file is chosen: the smallest, or the highest accuracy."""
    files: Annotated[int, Field(ge=1)]
    """Largest number of files made by rungs that train nothing."""
    trainings: Annotated[int, Field(ge=0)]
    """Largest number of trainings: files made by rungs that train."""
