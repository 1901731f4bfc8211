"""The state of a model on a device, and what becomes of it when its files are damaged."""

import hashlib
import json
from pathlib import Path

import pytest

from edge_runtime.errors import InstallError
from edge_runtime.install import ShadowBudget
from edge_runtime.install.state import (
    MOST_BAD,
    MOST_REASON,
    ModelState,
    ShadowChoice,
    models_of,
    read_state,
    state_path,
    write_state,
)

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
NOW = "2026-07-01T00:00:00Z"


def test_nothing_was_ever_installed(tmp_path: Path) -> None:
    assert read_state(tmp_path, "camera") == ModelState() and models_of(tmp_path) == []


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = ModelState().committed(A, NOW).committed(B, NOW).refusing(C, "It hangs.").trying("d" * 64)
    write_state(tmp_path, "camera", state)
    assert read_state(tmp_path, "camera") == state
    assert models_of(tmp_path) == ["camera"]
    assert state.kept == (B, A, "d" * 64)


def test_a_shadow_is_kept_and_read_as_it_was_written(tmp_path: Path) -> None:
    state = ModelState().committed(A, NOW).committed(B, NOW).shadowed(ShadowChoice(C, ShadowBudget(0.1, 256.0), NOW))
    write_state(tmp_path, "camera", state)
    assert read_state(tmp_path, "camera") == state
    assert (state.current, state.previous, state.refused) == (B, A, ()) and state.kept == (B, A, C)
    assert state.without_shadow() == ModelState().committed(A, NOW).committed(B, NOW)


def test_a_shadow_ends_where_it_runs_or_is_refused_and_stays_otherwise() -> None:
    shadow = ShadowChoice(C, ShadowBudget(0.1), NOW)
    state = ModelState().committed(A, NOW).shadowed(shadow)
    assert state.committed(C, NOW).shadow is None and state.committed(C, NOW).previous == A
    assert state.refusing(C, "It hangs.").shadow is None and state.trying(C).shadow == shadow
    assert state.committed(B, NOW).shadow == state.committed(B, NOW).back_to(A, "blurred", NOW).shadow == shadow
    beside = ModelState().committed(C, NOW).committed(B, NOW).shadowed(shadow)
    assert beside.previous == C and beside.back_to(C, None, NOW).shadow is None


def test_a_state_of_a_release_that_knows_no_shadow_is_read_and_written_as_it_was(tmp_path: Path) -> None:
    state = ModelState().committed(A, NOW).committed(B, NOW).refusing(C, "It hangs.").trying("d" * 64)
    document: dict[str, object] = {
        "current": B, "previous": A, "trial": {"digest": "d" * 64, "attempts": 1},
        "refused": [{"digest": C, "reason": "It hangs."}], "since": NOW,
    }  # fmt: skip
    check = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    path = state_path(tmp_path, "camera")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(document | {"check": check}))
    assert read_state(tmp_path, "camera") == state
    write_state(tmp_path, "camera", state)
    assert json.loads(path.read_text()) == document | {"check": check}


@pytest.mark.parametrize("budget", [{"share": 2, "memory_mb": None}, {"share": 0.1, "memory_mb": "x"}, {"share": 0.1}])
def test_a_shadow_with_an_impossible_budget_is_damage(tmp_path: Path, budget: dict[str, object]) -> None:
    document: dict[str, object] = {
        "current": A, "previous": None, "trial": None, "refused": [], "since": NOW,
        "shadow": {"digest": B, "budget": budget, "since": NOW},
    }  # fmt: skip
    check = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    path = state_path(tmp_path, "camera")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(document | {"check": check}))
    with pytest.raises(InstallError, match="expected the state of camera"):
        read_state(tmp_path, "camera")


@pytest.mark.parametrize("end", ["", ".copy"])
@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"flipped"])
def test_one_damaged_file_is_made_good_by_the_other(tmp_path: Path, end: str, damage: bytes) -> None:
    state = ModelState().committed(A, NOW)
    write_state(tmp_path, "camera", state)
    path = state_path(tmp_path, "camera").with_name(f"camera.json{end}")
    content = bytearray(path.read_bytes())
    content[content.index(b"aaaa")] ^= 1
    path.write_bytes(bytes(content) if damage == b"flipped" else damage)
    assert read_state(tmp_path, "camera") == state


def test_both_files_damaged_is_said(tmp_path: Path) -> None:
    write_state(tmp_path, "camera", ModelState().committed(A, NOW))
    for path in (tmp_path / "models").iterdir():
        path.write_bytes(b"{}")
    with pytest.raises(InstallError, match="its copy cannot be read either"):
        read_state(tmp_path, "camera")


def test_a_commit_keeps_the_way_back_and_forgets_the_trial() -> None:
    state = ModelState().committed(A, NOW).trying(B)
    assert state.attempts_of(B) == 1 and state.trying(B).attempts_of(B) == 2 and state.trying(C).attempts_of(C) == 1
    after = state.committed(B, NOW)
    assert (after.current, after.previous, after.trial) == (B, A, None)
    assert after.committed(B, NOW).previous == A, "the same once more is no step"


def test_the_way_back_refuses_what_was_left() -> None:
    back = ModelState().committed(A, NOW).committed(B, NOW).back_to(A, "It was slow.", NOW)
    assert (back.current, back.previous) == (A, None)
    assert back.reason_against(B) == "It was slow." and back.reason_against(A) is None
    assert back.permitting(B).reason_against(B) is None
    assert back.committed(B, NOW).reason_against(B) is None


def test_the_list_of_refused_bundles_has_a_bound() -> None:
    state = ModelState()
    for number in range(MOST_BAD + 5):
        state = state.refusing(f"{number:064x}", "no")
    assert len(state.refused) == MOST_BAD and state.reason_against(f"{MOST_BAD + 4:064x}") == "no"


@pytest.mark.parametrize("reason", ["n" * 2_000_000, "\U0001f4a5" * 2_000_000])
def test_whatever_reasons_say_the_state_stays_one_that_is_read(tmp_path: Path, reason: str) -> None:
    state = ModelState().committed(A, NOW)
    for number in range(MOST_BAD):
        state = state.refusing(f"{number:064x}", reason)
    write_state(tmp_path, "camera", state)
    assert read_state(tmp_path, "camera") == state
    assert state.reason_against("0" * 64) == reason[:MOST_REASON]


@pytest.mark.parametrize("model", ["yolo.json", "a.json.copy", "a.copy", "a.json.b", "json"])
def test_a_model_keeps_its_name_whatever_ends_it(tmp_path: Path, model: str) -> None:
    write_state(tmp_path, model, ModelState().committed(A, NOW))
    write_state(tmp_path, "a", ModelState().committed(B, NOW))
    assert models_of(tmp_path) == sorted(("a", model))
    assert (read_state(tmp_path, model).current, read_state(tmp_path, "a").current) == (A, B)


@pytest.mark.parametrize("name", ["a (copy).json", "-a.json", ".a.json", f"{'a' * 129}.json", ".json"])
def test_a_file_that_has_no_name_of_a_model_is_no_state(tmp_path: Path, name: str) -> None:
    write_state(tmp_path, "a", ModelState().committed(A, NOW))
    (tmp_path / "models" / name).write_bytes((tmp_path / "models" / "a.json").read_bytes())
    assert models_of(tmp_path) == ["a"]
