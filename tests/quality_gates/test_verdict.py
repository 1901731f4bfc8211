import pytest
from pydantic import ValidationError

from quality_gates.verdict import GateOutcome, GateResult, Verdict, VerdictOutcome


def _gate(outcome: GateOutcome, blocking: bool = True, name: str = "size") -> GateResult:
    sentence = f"{name} is {outcome}."
    return GateResult(
        name=name, kind="limit", outcome=outcome, blocking=blocking, metric="size_bytes", sentence=sentence
    )


PASS, FAIL, UNDECIDED = _gate("pass"), _gate("fail"), _gate("inconclusive")
WARNED, WAITING = _gate("inconclusive", blocking=False), _gate("not_applicable", blocking=False)


@pytest.mark.parametrize(
    ("gates", "outcome"),
    [
        ((PASS,), "pass"),
        ((PASS, PASS), "pass"),
        ((PASS, FAIL), "fail"),
        ((UNDECIDED, FAIL), "fail"),
        ((PASS, UNDECIDED), "inconclusive"),
        ((PASS, WARNED), "pass"),
        ((PASS, WAITING), "pass"),
        ((PASS, _gate("fail", blocking=False)), "pass"),
        ((WAITING,), "inconclusive"),
        ((WAITING, WAITING), "inconclusive"),
        ((WARNED,), "inconclusive"),
        ((WAITING, WARNED), "inconclusive"),
        ((WAITING, FAIL), "fail"),
    ],
)
def test_the_outcome_follows_from_the_gates(gates: tuple[GateResult, ...], outcome: VerdictOutcome) -> None:
    verdict = Verdict.of(gates)
    assert verdict.outcome == outcome
    assert verdict.passed == (outcome == "pass")
    assert (verdict.reasons == ()) == verdict.passed


def test_reasons_are_the_sentences_of_what_blocks() -> None:
    verdict = Verdict.of((PASS, _gate("fail", name="a"), WARNED, _gate("inconclusive", name="b")))
    assert verdict.reasons == ("a is fail.", "b is inconclusive.")


def test_the_worst_comes_first_in_reasons_and_headline() -> None:
    gates = (_gate("inconclusive", name="a"), PASS, _gate("fail", name="b"), _gate("fail", name="c"))
    verdict = Verdict.of(gates)
    assert verdict.reasons == ("b is fail.", "c is fail.", "a is inconclusive.")
    assert verdict.headline == "Fail: 3 of 4 gates did not pass (b, c, a)."
    assert verdict.gates == gates


@pytest.mark.parametrize(
    ("gates", "headline"),
    [
        ((PASS, PASS), "Pass: 2 of 2 gates hold."),
        (
            (PASS, WAITING, WARNED),
            "Pass: 1 of 3 gates hold, 1 not applicable yet, 1 inconclusive, with a warning only.",
        ),
        ((PASS, FAIL, _gate("inconclusive", name="b")), "Fail: 2 of 3 gates did not pass (size, b)."),
        ((PASS, UNDECIDED), "Inconclusive: 1 of 2 gates did not pass (size)."),
        ((WAITING,), "Inconclusive: no gate passed, so nothing was shown."),
    ],
)
def test_headline(gates: tuple[GateResult, ...], headline: str) -> None:
    assert Verdict.of(gates).headline == headline


@pytest.mark.parametrize(
    ("claimed", "gates"), [("pass", (FAIL,)), ("pass", (UNDECIDED,)), ("pass", (WAITING,)), ("fail", (PASS,))]
)
def test_a_verdict_that_its_gates_do_not_give_cannot_be_built(
    claimed: VerdictOutcome, gates: tuple[GateResult, ...]
) -> None:
    with pytest.raises(ValidationError, match="Decide again"):
        Verdict(outcome=claimed, gates=gates)


def test_an_edited_verdict_is_not_read_back() -> None:
    edited = Verdict.of((PASS, FAIL)).model_dump_json().replace('{"outcome":"fail"', '{"outcome":"pass"', 1)
    assert edited.startswith('{"outcome":"pass"')
    with pytest.raises(ValidationError, match="The gates give 'fail', not 'pass'"):
        Verdict.model_validate_json(edited)


def test_a_verdict_without_gates_cannot_be_built() -> None:
    with pytest.raises(ValidationError):
        Verdict(outcome="pass", gates=())
    with pytest.raises(ValidationError):
        Verdict.of(())


def test_figures_are_finite() -> None:
    with pytest.raises(ValidationError):
        GateResult.model_validate(PASS.model_dump() | {"estimate": float("nan")})


def test_a_verdict_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Verdict.of((FAIL,)).outcome = "pass"
