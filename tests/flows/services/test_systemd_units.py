"""Units of systemd, held against the table of services and, where it is installed, against systemd itself."""

import configparser
import shlex
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.services.site import Ports
from flows.services.systemd_units import hidden_places, production_site, root_commands, write_units
from flows.services.table import Service, services

SITE = production_site(Ports(), ("digits", "/srv/50% of $HOME/recipe one.yaml"))
TABLE = services(SITE)
every_service = pytest.mark.parametrize("service", TABLE, ids=lambda service: service.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the units."""
    folder = tmp_path_factory.mktemp("units")
    write_units(folder, SITE)
    return folder


def lines(folder: Path, service: str, key: str) -> list[str]:
    """Return the values of a key that may stand several times."""
    text = (folder / f"edgewright-{service}.service").read_text()
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


@every_service
def test_a_unit_runs_what_the_table_says(folder: Path, service: Service) -> None:
    (started,) = lines(folder, service.name, "ExecStart")
    program, *arguments = shlex.split(started)
    assert Path(program).is_absolute() and Path(program).name == service.command[0]
    assert [word.replace("%%", "%").replace("$$", "$") for word in arguments] == list(service.command[1:])
    written = dict(shlex.split(line)[0].split("=", 1) for line in lines(folder, service.name, "Environment"))
    written.pop("PYTHONPATH", None)
    assert {key: value.replace("%%", "%") for key, value in written.items()} == service.environment


def test_units_find_workloads_where_they_are_found_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "mine:/srv/others")
    write_units(tmp_path / "units", SITE)
    worker = lines(tmp_path / "units", "worker", "Environment")
    assert f'"PYTHONPATH={tmp_path / "mine"}:/srv/others"' in worker
    monkeypatch.setenv("PYTHONPATH", "/home/ada/defects")
    assert "/home/ada/defects" in hidden_places(SITE)
    monkeypatch.setattr("sys.executable", "/home/ada/edgewright/.venv/bin/python")  # a link to /usr/bin/python3
    assert "/home/ada/edgewright/.venv/bin/python" in hidden_places(SITE)


@every_service
def test_a_unit_waits_for_what_the_table_says(folder: Path, service: Service) -> None:
    (after,) = lines(folder, service.name, "After")
    assert set(after.split()) == {"network.target", *(f"edgewright-{other}.service" for other in service.after)}
    waits = lines(folder, service.name, "ExecStartPost")
    assert [line.split()[-2:] for line in waits] == ([] if service.once else [[service.health, "$MAINPID"]])


@every_service
def test_a_unit_starts_again_for_ever_as_its_own_user_and_may_do_little(folder: Path, service: Service) -> None:
    assert lines(folder, service.name, "Restart") == ["on-failure" if service.once else "always"]
    assert lines(folder, service.name, "StartLimitIntervalSec") == ["0"]
    assert lines(folder, service.name, "User") == ["edgewright"]
    for key, value in {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": ""}.items():
        assert lines(folder, service.name, key) == [value]


def test_secrets_are_made_once_and_stand_in_no_unit(folder: Path) -> None:
    files = {path.name: path.read_text() for path in (folder / "secrets").glob("*.env")}
    write_units(folder, SITE)
    assert files == {path.name: path.read_text() for path in (folder / "secrets").glob("*.env")}
    assert set(files) == {f"{service.name}.env" for service in TABLE if service.secrets}
    assert files["watch.env"] == files["webhook.env"] != files["mlflow.env"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder / "secrets").iterdir()} == {0o600}
    units = "".join(path.read_text() for path in folder.glob("edgewright*"))
    for service in TABLE:
        assert len(lines(folder, service.name, "EnvironmentFile")) == bool(service.secrets)
        for secret in service.secrets:
            variable, _, value = files[f"{service.name}.env"].strip().partition("=")
            assert variable == secret.variable and value not in units


def test_the_target_starts_every_service(folder: Path) -> None:
    target = configparser.ConfigParser()
    target.read(folder / "edgewright.target")
    assert set(target["Unit"]["Wants"].split()) == {f"edgewright-{service.name}.service" for service in TABLE}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_them(folder: Path, tmp_path: Path) -> None:
    units = sorted(map(str, folder.glob("edgewright*")))
    verified = _verify(units)
    assert verified.returncode == 0 and not verified.stderr, verified.stderr
    wrong = tmp_path / "edgewright-mlflow.service"
    wrong.write_text(Path(units[1]).read_text().replace("[Service]\n", "[Service]\nNoNewPrivilege=yes\n"))
    assert "NoNewPrivilege" in _verify([str(wrong)]).stderr


def test_the_command_says_what_it_wrote(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["units", "--folder", str(tmp_path), "--recipe", "digits"])
    assert said.exit_code == 0, said.output
    shown = said.output.replace("\n", "")
    assert all(str(path) in shown for path in (*tmp_path.glob("edgewright*"), *tmp_path.glob("secrets/*.env")))
    assert "EDGEWRIGHT_RECIPES=digits" in (tmp_path / "edgewright-watch.service").read_text()


def test_the_commands_for_root_take_every_file_to_its_place(tmp_path: Path) -> None:
    written = tmp_path / "my units"
    write_units(written, SITE)
    said = "\n".join(root_commands(written))
    assert said.startswith("useradd --system ") and said.endswith("systemctl enable --now edgewright.target")
    shown = CliRunner().invoke(app, ["units", "--folder", str(written)], env={"COLUMNS": "40"}).output
    assert all(f"  {line}\n" in shown for line in said.splitlines())
    root = tmp_path / "root"
    (root / "etc/systemd/system").mkdir(parents=True)
    typed = "\n".join(line for line in root_commands(written) if line.startswith(("install", "cp")))
    subprocess.run(["sh", "-ec", typed.replace(" /etc", f" {root}/etc")], check=True, timeout=60)
    assert {path.name for path in (root / "etc/systemd/system").iterdir()} == {f.name for f in written.glob("edge*")}
    assert {path.name for path in (root / "etc/edgewright").iterdir()} == {"mlflow.env", "webhook.env", "watch.env"}
    assert {path.stat().st_mode & 0o777 for path in (root / "etc/edgewright").iterdir()} == {0o600}


def _verify(units: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, timeout=60, check=False
    )
