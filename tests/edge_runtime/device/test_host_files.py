"""Units of systemd and Mender's module, as they are written for a device."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.device.host_files import UNITS, next_commands
from tests.edge_runtime.device.operated_device import device_environment

UNIT = "edgewright-update.service"
CONFIGURATION = """
device = "gateway"
models = ["camera"]
url = "https://models.example.com/edge"
state = "/var/lib/edgewright"
root = "/usr/share/edgewright/root.json"
"""


def setup(kind: str, folder: Path, more: str = "", config: str = "device.toml") -> subprocess.CompletedProcess[str]:
    path = folder / config
    path.parent.mkdir(exist_ok=True)
    path.write_text(CONFIGURATION + more)
    command = (sys.executable, "-P", "-m", "edge_runtime", "setup", kind, "--config", path, "--root", folder / "image")
    return subprocess.run(command, env=device_environment(), capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of an image with both kinds of files."""
    folder = tmp_path_factory.mktemp("files")
    more = '[lock]\nfile = "/run/edgewright/busy.lock"\n'
    for kind in ("systemd", "mender"):
        said = setup(kind, folder, more)
        assert (said.returncode, said.stderr) == (0, "")
        written = [Path(line.removeprefix("written: ")) for line in said.stdout.splitlines() if "written: " in line]
        assert written and all(path.is_file() for path in written)
        assert all(f"next: {command}\n" in said.stdout for command in next_commands(kind))
    return folder / "image"


def lines(image: Path, unit: str, key: str) -> list[str]:
    text = (image / "etc/systemd/system" / unit).read_text()
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def test_units_run_this_python_with_the_configuration(image: Path) -> None:
    config = image.parent / "device.toml"
    assert lines(image, UNIT, "ExecStart") == [f"{sys.executable} -P -m edge_runtime update --config {config}"]
    assert lines(image, "edgewright-update-forever.service", "ExecStart") == [
        f"{sys.executable} -P -m edge_runtime update --forever --config {config}"
    ]
    assert lines(image, UNIT, "Type") == ["oneshot"] and lines(image, UNIT, "SuccessExitStatus") == ["3"]
    assert lines(image, "edgewright-update-forever.service", "Type") == ["notify"]


def test_the_unit_that_serves_waits_for_its_models_and_writes_its_figures_alone(image: Path) -> None:
    unit, config = "edgewright-serve.service", image.parent / "device.toml"
    assert lines(image, unit, "ExecStart") == [f"{sys.executable} -P -m edge_runtime serve --config {config}"]
    assert lines(image, unit, "Type") == ["notify"] and lines(image, unit, "WatchdogSec") == ["60s"]
    assert lines(image, unit, "TimeoutStartSec") == ["infinity"]
    assert lines(image, unit, "User") == ["edgewright"] and lines(image, unit, "ProtectSystem") == ["strict"]
    assert lines(image, unit, "ReadWritePaths")[-2:] == ["", "-/var/lib/edgewright/served"]
    assert lines(image, unit, "InaccessiblePaths") == ["-/var/lib/edgewright/device.key"]
    for key, last in {"CPUWeight": "100", "IOWeight": "100"}.items():
        assert lines(image, unit, key)[-1] == last


def test_units_may_do_little_and_write_what_the_configuration_names(image: Path) -> None:
    for unit in (UNIT, "edgewright-update-forever.service"):
        assert lines(image, unit, "ReadWritePaths") == ["/var/lib/edgewright /run/edgewright"]
        for key, value in {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": ""}.items():
            assert lines(image, unit, key) == [value]
        assert lines(image, unit, "User") == ["edgewright"]


def test_the_timer_spreads_devices_and_catches_up(image: Path) -> None:
    timer = "edgewright-update.timer"
    assert lines(image, timer, "OnCalendar") == ["hourly"] and lines(image, timer, "Persistent") == ["yes"]
    assert lines(image, timer, "RandomizedDelaySec") == ["50min"]


def test_no_word_is_left_unfilled(image: Path) -> None:
    files = [path for path in image.rglob("*") if path.is_file()]
    assert len(files) == 7
    assert [path for path in files if "@" in path.read_text().replace("@system-service", "")] == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="NOT TESTED: systemd is not installed")
def test_systemd_takes_the_units(image: Path, tmp_path: Path) -> None:
    folder = image / "etc/systemd/system"
    verified = analyze("verify", "--man=no", *(folder / unit for unit in UNITS))
    assert (verified.returncode, verified.stderr) == (0, "")
    wrong = tmp_path / UNIT
    wrong.write_text((folder / UNIT).read_text().replace("[Service]\n", "[Service]\nNoNewPrivilege=yes\n"))
    assert "NoNewPrivilege" in analyze("verify", "--man=no", wrong).stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="NOT TESTED: systemd is not installed")
def test_a_unit_is_exposed_little(image: Path) -> None:
    for unit in (UNIT, "edgewright-serve.service"):
        told = analyze("security", "--offline=yes", "--threshold=25", image / "etc/systemd/system" / unit)
        assert told.returncode == 0, told.stdout[-300:]
    assert analyze("security", "--offline=yes", "--threshold=5", image / "etc/systemd/system" / UNIT).returncode != 0


@pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("systemd-sysusers", "systemd-tmpfiles"))),
    reason="NOT TESTED: needs root and systemd",
)
def test_the_user_and_the_folders_are_made(image: Path) -> None:
    for program in (("systemd-sysusers",), ("systemd-tmpfiles", "--create")):
        said = subprocess.run(
            [*program, f"--root={image}", "edgewright.conf"], capture_output=True, text=True, timeout=60, check=False
        )
        assert said.returncode == 0, said.stderr
    entry = next(line for line in (image / "etc/passwd").read_text().splitlines() if line.startswith("edgewright:"))
    for folder in ("var/lib/edgewright", "run/edgewright"):
        assert str((image / folder).stat().st_uid) == entry.split(":")[2]


def test_menders_module_is_a_program_that_knows_its_states(image: Path, tmp_path: Path) -> None:
    module = image / "usr/share/mender/modules/v3/edgewright"
    assert module.stat().st_mode & 0o777 == 0o755
    for state, said in {"SupportsRollback": "Yes\n", "NeedsArtifactReboot": "No\n", "ArtifactCommit": ""}.items():
        told = subprocess.run([module, state, tmp_path], capture_output=True, text=True, timeout=60, check=True)
        assert (told.stdout, told.stderr) == (said, "")
    assert subprocess.run(["sh", "-n", module], check=False).returncode == 0


@pytest.mark.parametrize(
    ("more", "config"),
    [("", "device 1.toml"), ("", "device%1.toml"), ('[lock]\nfile = "/run/$HOME/busy.lock"\n', "device.toml")],
)
def test_a_path_that_would_be_read_as_something_else_is_refused(tmp_path: Path, more: str, config: str) -> None:
    said = setup("systemd", tmp_path, more, config)
    assert said.returncode == 4 and "expected an absolute path of letters" in said.stderr
    assert not (tmp_path / "image").exists()


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("lock", ["/busy.lock", "/run/busy.lock", "/tmp/busy.lock", "/var//lock/busy.lock"])
def test_a_folder_that_others_share_is_not_given_to_the_service(tmp_path: Path, lock: str) -> None:
    said = setup("systemd", tmp_path, f'[lock]\nfile = "{lock}"\n')
    assert said.returncode == 4 and "lock.file: expected a folder that only Edgewright uses" in said.stderr
    assert not (tmp_path / "image").exists()
