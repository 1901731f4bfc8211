"""Device profiles: budgets as gates, and what a profile may say."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from deployments.device import Budgets, DeviceProfile, OverSsh, read_device
from deployments.errors import ConfigurationError
from deployments.yaml_file import read_yaml
from tests.deployments.yaml_cases import HERE

BENCH = HERE / "devices" / "bench.yaml"


def test_only_the_budgets_that_are_given_become_gates() -> None:
    limits = Budgets(size_kb=12.5, load_ms=300).limits()
    assert [(gate.resource, gate.at_most, gate.name) for gate in limits] == [
        ("load_ms", 300, "load time budget"),
        ("size_bytes", 12_500, "file size budget"),
    ]


@pytest.mark.parametrize(("instruction_set", "saturates"), [("avx2", True), ("avx512_vnni", False), ("neon", False)])
def test_old_instruction_sets_saturate(instruction_set: str, saturates: bool) -> None:
    profile = read_yaml(BENCH, DeviceProfile).model_copy(update={"instruction_set": instruction_set})
    assert profile.saturates is saturates


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("avx2", "sse", "key `instruction_set`: expected avx2, avx512, avx512_vnni, neon or neon_dotprod, got 'sse'"),
        ("[int8]", "[int8, int2]", "key `precisions.1`: expected int8, int4, fp16 or fp32, got 'int2'"),
        ("[int8]", "int8", "key `precisions`: expected a list, got 'int8'"),
        ("size_kb: 40", "size_kb: 40kB", "key `budgets.size_kb`: expected a number, got '40kB'"),
        ("size_kb: 40", "size_kb: 0", "key `budgets.size_kb`: expected a number of at least 1, got 0"),
        ("_ms: 2000", "_ms: 0", "key `budgets.latency_p99_ms`: expected a number above 0, got 0"),
        ("_ms: 2000", "_ms: .nan", "key `budgets.latency_p99_ms`: expected a finite number, got nan"),
        ("kind: local", "kind: usb", "key `measure.kind`: expected one of local, ssh, got 'usb'"),
        ("kind: local", "kind: ssh", "key `measure.host` is missing; add it"),
        ("kind: local", "kind: ssh\n  host: -oProxyCommand=x", "key `measure.host`: expected the name of a host"),
        ("kind: local", "kind: ssh\n  host: board\n  python: python3", "key `measure.python`: expected an absolute"),
        (
            "kind: local",
            "kind: ssh\n  host: board\n  identity_file: key",
            "key `measure.identity_file`: expected an absolute path",
        ),
        ("repeats: 20", "repeats: 5", "key `measure.repeats`: expected a number of at least 20, got 5"),
        ("threads: 1", "threads: true", "key `threads`: expected a whole number, got True"),
        ("threads: 1", "threads: 1000000", "key `threads`: expected a number of at most 256, got 1000000"),
        ("name: bench", "name: Bench 1", "expected lower-case letters, digits and dashes, such as line-camera, got"),
        ("\nanswers:\n  kind: native", "", "key `answers` is missing; add it, it has no default"),
        ("native", "guessed", "key `answers.kind`: expected one of native, emulated, got 'guessed'"),
        ("native", "emulated\n  timeout_s: 60", "key `answers.cpu` is missing; add it"),
        (
            "native",
            "emulated\n  timeout_s: 60\n  cpu: i386",
            "key `answers.cpu`: expected Haswell, Skylake-Client, EPYC,",
        ),
        (
            "native",
            "emulated\n  timeout_s: 60\n  cpu: cortex-a72",
            "expected a CPU that has avx2 as the device has, got cortex-a72 with neon; take Haswell or Sky",
        ),
        ("threads: 1\n", "", "key `threads` is missing; add it"),
        ("max_batch: 2", "max_batch: 2\ncores: 4", "key `cores` is not known"),
    ],
)
def test_a_wrong_profile_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = BENCH.read_text()
    assert old in text
    path = tmp_path / "wrong.yaml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigurationError) as caught:
        read_device(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)


def test_an_unknown_device_names_the_places_and_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_device("toaster", tmp_path)
    assert f"expected toaster.yaml in {tmp_path} or " in str(caught.value)
    assert "(shipped are arm-board, camera, gateway, haswell, kiosk, microscope, sensor-hub)" in str(caught.value)


def test_a_profile_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read_yaml(BENCH, DeviceProfile).threads = 4


def test_a_device_over_ssh_answers_itself(tmp_path: Path) -> None:
    text = BENCH.read_text().replace("kind: local", "kind: ssh\n  host: board")
    (tmp_path / "own.yaml").write_text(text)
    profile = read_device(str(tmp_path / "own.yaml"))
    assert isinstance(profile.measure, OverSsh) and profile.measure.python == "/opt/edgewright/bin/python"
    emulated = text.replace("kind: native", "kind: emulated\n  cpu: Haswell\n  timeout_s: 60")
    (tmp_path / "emulated.yaml").write_text(emulated)
    with pytest.raises(ConfigurationError, match=r"key `answers.kind`: expected native with `measure.kind` ssh"):
        read_device(str(tmp_path / "emulated.yaml"))
