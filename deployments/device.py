"""The device profile: the resources of one class of edge devices, and the way to measure on one."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from deployments.errors import ConfigurationError
from deployments.instruction_sets import CPUS, SATURATING, CpuName
from deployments.yaml_file import Frozen, WrittenAs, read_yaml
from edge_runtime.cpu import InstructionSet
from edge_runtime.measurement import RESOURCES
from edge_runtime.settings import MAX_THREADS
from quality_gates.gates import Limit

DEVICES = Path(__file__).parent / "devices"

Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, WrittenAs(r"[a-z0-9][a-z0-9-]*", "lower-case letters, digits and dashes, such as line-camera")]


class Budgets(Frozen):
    """The most that a model may take. Each budget that is given is a gate.

    `size_kb` is needed. A resource whose budget is not given is not limited.
    """

    size_kb: Annotated[float, Field(ge=1)]
    """Size of the model file, in kB of 1,000 bytes."""
    peak_rss_mb: Positive | None = None
    """Peak resident memory of the measuring process while it loads and runs the model, in MiB."""
    load_ms: Positive | None = None
    """Time from the file to a session that is ready to answer, in milliseconds."""
    latency_p50_ms: Positive | None = None
    """Median time of one row, in milliseconds."""
    latency_p99_ms: Positive | None = None
    """99th percentile of the time of one row, in milliseconds."""

    @property
    def size_bytes(self) -> int:
        """The file budget in bytes (1 kB = 1,000 bytes)."""
        return int(self.size_kb * 1000)

    @property
    def limits_latency(self) -> bool:
        """True where a budget limits the time of a row."""
        return any(RESOURCES[str(limit.resource)].weighed_as == "latency" for limit in self.limits())

    def limits(self) -> tuple[Limit, ...]:
        """Return every budget as a gate."""
        figures = self.model_dump(exclude_none=True, exclude={"size_kb"}) | {"size_bytes": self.size_bytes}
        return tuple(
            Limit(name=RESOURCES[resource].budget, resource=resource, at_most=bound)
            for resource, bound in figures.items()
        )


class _InAProcess(Frozen):
    """The process that measures, wherever it runs."""

    kind: str
    """Place where it runs."""
    memory_limit_mb: Positive
    """Memory that the measuring process may use, in MiB; a model that needs more is a failed measurement."""
    timeout_s: Positive
    """Seconds after which a measurement has failed."""
    warmup: Annotated[int, Field(ge=0)]
    """Runs before the first one that counts."""
    repeats: Annotated[int, Field(ge=20)]
    """Runs that count for the latency figures."""


class LocalProcess(_InAProcess):
    """Measure in a process of its own on this machine, with the device's threads and under its memory limit."""

    kind: Literal["local"]
    """`local`: a process on this machine."""


class OverSsh(_InAProcess):
    """Measure in a process of its own on a device of the class, which this machine reaches over SSH.

    The device's own CPU answers the rows. It needs the runtime, and its host key must be known here.
    """

    kind: Literal["ssh"]
    """`ssh`: a process on the device."""
    host: Annotated[str, WrittenAs(r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,254}", "the name of a host, an address or an alias")]
    """Host as `ssh` takes it: a name, an address, or an alias of its configuration."""
    user: Annotated[str, WrittenAs(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", "the name of a user")] | None = None
    """User there. Default: what `ssh` takes."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port of the SSH server. Default: what `ssh` takes."""
    identity_file: Annotated[str, WrittenAs(r"[~/].*", "an absolute path, or one that begins with ~")] | None = None
    """File of the private key, without a passphrase or held by an agent. Default: those that `ssh` tries."""
    known_hosts_file: Annotated[str, WrittenAs(r"[~/].*", "an absolute path, or one that begins with ~")] | None = None
    """File with the device's host key. Default: that of `ssh`. A key that is not in it is never accepted."""
    python: Annotated[str, WrittenAs(r"/.*", "an absolute path")] = "/opt/edgewright/bin/python"
    """Python on the device that has the runtime."""
    connect_timeout_s: Annotated[int, Field(ge=1, le=600)] = 15
    """Seconds without a connection, or without a sign of life, after which a measurement is interrupted."""


Measuring: TypeAlias = Annotated[LocalProcess | OverSsh, Field(discriminator="kind")]


class NativeAnswers(Frozen):
    """Take the answers from the measured process, on the CPU that measures whatever the device's is.

    The report says so where that is of another class.
    """

    kind: Literal["native"]
    """`native`: the CPU that measures."""


class EmulatedAnswers(Frozen):
    """Take the answers from an emulated CPU of the device's class, where this machine is of another class."""

    kind: Literal["emulated"]
    """`emulated`: a CPU under QEMU's user mode."""
    cpu: CpuName
    """The CPU by its name in QEMU. It must have the profile's `instruction_set`."""
    timeout_s: Positive
    """Seconds after which an emulated run has failed."""


Answers: TypeAlias = Annotated[NativeAnswers | EmulatedAnswers, Field(discriminator="kind")]


class DeviceProfile(Frozen):
    """One class of edge devices."""

    name: Name
    """Name of the class. The registered model `MODEL-DEVICE` and the folder of the bundles have it in their names."""
    description: str
    """One line for people."""
    threads: Annotated[int, Field(ge=1, le=MAX_THREADS)]
    """Threads that the model may use."""
    instruction_set: InstructionSet
    """Instruction set of the CPU. INT8 weights keep to 7 bits on `avx2` and `avx512`, where 8-bit products saturate."""
    execution_provider: Literal["CPUExecutionProvider"]
    """ONNX Runtime's execution provider."""
    precisions: Annotated[tuple[Literal["int8", "int4", "fp16", "fp32"], ...], Field(min_length=1, strict=False)]
    """Precisions that the device can run. Rungs of another precision are not tried for it."""
    max_batch: Annotated[int, Field(ge=1)]
    """Largest number of rows that the device answers at once."""
    budgets: Budgets
    """The most that a model may take on this device."""
    measure: Measuring
    """The way to measure size, memory, load time and latency."""
    answers: Answers
    """The CPU that answers the rows that the gates look at."""

    @model_validator(mode="after")
    def _answers_itself(self) -> "DeviceProfile":
        if isinstance(self.measure, OverSsh) and isinstance(self.answers, EmulatedAnswers):
            raise ValueError(
                "key `answers.kind`: expected native with `measure.kind` ssh, as the device itself answers, got "
                "emulated; set it to native"
            )
        return self

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
        """True where INT8 weights must keep to 7 bits on this device."""
        return self.instruction_set in SATURATING


def read_device(name: str, folder: Path | None = None) -> DeviceProfile:
    """Read a profile by its path, or by its name in `folder` or among the shipped ones.

    Raises:
        ConfigurationError: there is no such file, or it is not a valid profile.
    """
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
    """Return all profiles that come with Edgewright, by name."""
    return [read_yaml(path, DeviceProfile) for path in sorted(DEVICES.glob("*.yaml"))]
