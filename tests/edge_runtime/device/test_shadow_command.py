"""The command `shadow`: a carried release beside what runs, as an operator sees it."""

import pytest

from edge_runtime.__main__ import main
from edge_runtime.update import AGENT_LOCK, UpdateExit, exclusive
from tests.edge_runtime.device.carrying import CarriedRepository
from tests.edge_runtime.install.carried import MODEL


def run(carried: CarriedRepository, command: str, *words: str) -> int:
    return main([command, "--config", str(carried.device.configuration), *words])


def test_a_release_is_a_shadow_until_it_is_installed(
    carried: CarriedRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(carried.root)
    assert run(carried, "shadow", folder) == UpdateExit.REFUSED
    assert "nothing of camera runs here; install a release first" in capsys.readouterr().err
    assert run(carried, "install", folder) == UpdateExit.DONE
    first = carried.device.runs().current
    second = carried.offer(2)
    assert run(carried, "shadow", folder, "--share", "0.25", "--memory-mb", "300") == UpdateExit.DONE
    said = f"camera: release 2, version 2 ({second.digest[:12]}) is compared with what runs, on 0.25 of the requests"
    assert said in capsys.readouterr().out
    state = carried.device.runs()
    assert state.current == first and state.shadow is not None and state.shadow.budget.memory_mb == 300.0
    assert run(carried, "status") == UpdateExit.DONE
    told = f"camera: beside it release 2, version 2 ({second.digest[:12]}), compared on 0.25 of the requests since"
    assert told in capsys.readouterr().out
    assert run(carried, "install", folder) == UpdateExit.DONE
    state = carried.device.runs()
    assert (state.current, state.previous, state.shadow) == (second.digest, first, None)


def test_the_end_says_whose_shadow_has_ended(carried: CarriedRepository, capsys: pytest.CaptureFixture[str]) -> None:
    run(carried, "install", str(carried.root))
    carried.offer(2)
    run(carried, "shadow", str(carried.root), "--model", MODEL)
    capsys.readouterr()
    assert run(carried, "shadow", "--end") == UpdateExit.DONE
    assert capsys.readouterr().out == "camera: its shadow has ended\n"
    assert carried.device.runs().shadow is None
    assert run(carried, "shadow", "--end", "--model", MODEL) == UpdateExit.DONE
    assert capsys.readouterr().out == ""


def test_while_an_update_runs_no_shadow_comes_or_goes(carried: CarriedRepository) -> None:
    run(carried, "install", str(carried.root))
    carried.offer(2)
    assert run(carried, "shadow", str(carried.root)) == UpdateExit.DONE
    with exclusive(carried.device.state / AGENT_LOCK):
        assert run(carried, "shadow", "--end") == UpdateExit.HELD_BACK
        assert run(carried, "shadow", str(carried.root)) == UpdateExit.HELD_BACK
    assert carried.device.runs().shadow is not None


def test_what_is_not_signed_is_no_shadow(carried: CarriedRepository, capsys: pytest.CaptureFixture[str]) -> None:
    run(carried, "install", str(carried.root))
    offered = carried.offer(2)
    path = next(carried.root.glob(f"targets/{MODEL}/*/{offered.digest}.manifest.json"))
    path.chmod(0o644)
    forged = offered.data.replace(b'"pass"', b'"best"')
    assert forged != offered.data
    path.write_bytes(forged)
    assert run(carried, "shadow", str(carried.root)) == UpdateExit.REFUSED
    assert carried.device.runs().shadow is None and capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["FOLDER", "--end"], ["FOLDER", "--share", "0"], ["FOLDER", "--share", "2"]])
def test_a_command_that_makes_no_sense_is_refused(carried: CarriedRepository, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(carried, "shadow", *words)
    assert ended.value.code == 2
