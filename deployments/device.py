"""The device profile: what an edge device has, and how to measure on one."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from deployments.errors import ConfigurationError
from deployments.instruction_sets import CPUS, SATURATING, CpuName, InstructionSet
from deployments.yaml_file import Frozen, read_yaml, written_as
from edge_runtime.measurement import RESOURCES
from quality_gates.gates import Limit

DEVICES = Path(__file__).parent / "devices"

Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, written_as(r"[a-z0-9][a-z0-9-]*", "lower-case letters, digits and dashes, such as line-camera")]


class Budgets(Frozen):
    """The most that a model may take; what is not given is not limited."""

    size_kb: Annotated[float, Field(ge=1)]
    peak_rss_mb: Positive | None = None
    load_ms: Positive | None = None
    latency_p50_ms: Positive | None = None
    latency_p99_ms: Positive | None = None

    @property
    def size_bytes(self) -> int:
        """The file budget in bytes (1 KB = 1,000 bytes)."""
        return int(self.size_kb * 1000)

    def limits(self) -> tuple[Limit, ...]:
        """Every budget as a gate."""
        figures = self.model_dump(exclude_none=True, exclude={"size_kb"}) | {"size_bytes": self.size_bytes}
        return tuple(
            Limit(name=RESOURCES[resource].budget, resource=resource, at_most=bound)
            for resource, bound in figures.items()
        )


class LocalProcess(Frozen):
    """Measure in a process on this machine, with the device's threads and under its memory limit."""

    kind: Literal["local"]
    memory_limit_mb: Positive
    timeout_s: Positive
    warmup: Annotated[int, Field(ge=0)]
    repeats: Annotated[int, Field(ge=20)]


class NativeAnswers(Frozen):
    """Take the answers from the measured process, on this machine's CPU whatever the device's is."""

    kind: Literal["native"]


class EmulatedAnswers(Frozen):
    """Take the answers from an emulated CPU of the device's class, where this machine is of another."""

    kind: Literal["emulated"]
    cpu: CpuName
    timeout_s: Positive


Answers: TypeAlias = Annotated[NativeAnswers | EmulatedAnswers, Field(discriminator="kind")]


class DeviceProfile(Frozen):
    """One class of edge devices."""

    name: Name
    description: str
    threads: Annotated[int, Field(ge=1)]
    instruction_set: InstructionSet
    execution_provider: Literal["CPUExecutionProvider"]
    precisions: Annotated[tuple[Literal["int8", "int4", "fp16", "fp32"], ...], Field(min_length=1, strict=False)]
    max_batch: Annotated[int, Field(ge=1)]
    budgets: Budgets
    measure: LocalProcess
    answers: Answers

    @model_validator(mode="after")
    def _emulates_itself(self) -> "DeviceProfile":
        answers = self.answers
        if isinstance(answers, EmulatedAnswers) and CPUS[answers.cpu].instruction_set != self.instruction_set:
            fitting = [cpu.name for cpu in CPUS.values() if cpu.instruction_set == self.instruction_set]
            raise ValueError(
                f"key `answers.cpu`: expected a CPU that has {self.instruction_set} as the device has, got "
                f"{answers.cpu} with {CPUS[answers.cpu].instruction_set}; "
                + (f"take {' or '.join(fitting)}" if fitting else "none can be emulated: set `answers` to kind native")
            )
        return self

    @property
    def saturates(self) -> bool:
        """Whether INT8 weights must keep to 7 bits on this device."""
        return self.instruction_set in SATURATING


def read_device(name: str, folder: Path | None = None) -> DeviceProfile:
    """Read a profile by its path or the name of one in `folder` or among the shipped; raises ConfigurationError."""
    if name.endswith((".yaml", ".yml")):
        return read_yaml(Path(name), DeviceProfile)
    places = [place for place in (folder, DEVICES) if place is not None]
    for place in places:
        if (place / f"{name}.yaml").is_file():
            return read_yaml(place / f"{name}.yaml", DeviceProfile)
    shipped = ", ".join(path.stem for path in sorted(DEVICES.glob("*.yaml")))
    looked = " or ".join(dict.fromkeys(str(place) for place in places))
    raise ConfigurationError(
        f"device `{name}`: expected {name}.yaml in {looked}, got no such file; "
        f"write one or correct the name (shipped are {shipped})"
    )


def shipped_devices() -> list[DeviceProfile]:
    """All profiles that come with Edgewright."""
    return [read_yaml(path, DeviceProfile) for path in sorted(DEVICES.glob("*.yaml"))]
