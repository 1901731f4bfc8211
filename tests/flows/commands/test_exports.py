"""`edgewright export`: what it prints, and its exit codes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app, main
from tests.edge_runtime.install.carried import DEVICE, MODEL
from tests.tasks.delivery.export.offering import PASSPHRASES, Offering


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offering:
    """A place that the environment names; nothing is signed there yet."""
    for name, value in PASSPHRASES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("EDGEWRIGHT_KEYS", raising=False)
    monkeypatch.setenv("EDGEWRIGHT_HOME", str(tmp_path / "place"))
    monkeypatch.setenv("EDGEWRIGHT_TARGET", str(tmp_path / "place" / "target"))
    return Offering(tmp_path / "place")


def ending(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the command line as the shell does; return its exit code."""
    monkeypatch.setattr("sys.argv", ["edgewright", "export", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_it_says_what_was_exported_and_until_when_it_counts(place: Offering, tmp_path: Path) -> None:
    offered = place.begin().offer(4)
    out = tmp_path / "stick"
    said = CliRunner().invoke(app, ["export", MODEL, str(out), "--device", DEVICE, "--to", "dir"])
    assert said.exit_code == 0, said.output
    first, second = said.output.splitlines()
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    assert first == f"{out}: {MODEL} release 4, version 4, for {DEVICE} ({offered.digest[:12]}), {size} bytes."
    timestamp = place.repository().reader.state().timestamp.best
    assert timestamp is not None
    assert second.startswith(f"Devices take it until {timestamp.signed.expires:%Y-%m-%d %H:%M} UTC")


def test_a_path_is_taken_from_the_folder_that_the_command_is_called_in(
    place: Offering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.begin().offer(4)
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["export", MODEL, "stick", "--device", DEVICE, "--to", "dir"])
    assert said.exit_code == 0 and (tmp_path / "stick" / "metadata").is_dir()


def test_what_cannot_be_exported_is_one_sentence_and_code_2(
    place: Offering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (MODEL, str(tmp_path / "stick"), "--device", DEVICE, "--to")
    assert ending(monkeypatch, *words, "dir") == 2
    assert "expected a signed repository, got none" in capsys.readouterr().err
    place.begin()
    assert ending(monkeypatch, *words, "dir") == 2
    assert f"expected a release of {MODEL} that is offered" in capsys.readouterr().err
    assert ending(monkeypatch, *words, "rauc") == 2
    assert "expected one of dir, mender" in capsys.readouterr().err
    assert ending(monkeypatch, *words, "mender") == 2
    assert "expected --device-type" in capsys.readouterr().err


def test_a_program_that_is_missing_is_code_3(
    place: Offering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.begin().offer(4)
    monkeypatch.setenv("PATH", str(tmp_path))
    words = (MODEL, str(tmp_path / "a.mender"), "--device", DEVICE, "--to", "mender", "--device-type", "pi4")
    assert ending(monkeypatch, *words) == 3
    assert "apt-get install mender-artifact" in capsys.readouterr().err
