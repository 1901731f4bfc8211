"""Sign-offs as records: who counts, for what, until when, and what a recipe may ask for."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from quality_gates.errors import SignOffError
from quality_gates.sign_off import SignOff, SignOffs, SignOffSubject, check_asked, check_person, folded
from quality_gates.signatures import is_signed, sign, written_key

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
UNTIL = NOW + timedelta(days=7)
SUBJECT = SignOffSubject(model="m", version="3", device="bench", run="r", verdict_sha256="a" * 64, file_sha256="b" * 64)
ADA, GRACE = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
SIGNERS = {"Ada": written_key(ADA.public_key()), "Grace": written_key(GRACE.public_key())}
TWO = SignOffs(persons=2, until=UNTIL)


def record(name: str = "Ada", key: Ed25519PrivateKey | None = None, **changes: Any) -> SignOff:
    made = SignOff(subject=SUBJECT, name=name, reason="It is good.", choice="publish", given=NOW)
    made = made.model_copy(update=changes)
    return made if key is None else made.with_signature(sign(made.statement, key))


def counting(*found: SignOff, signers: dict[str, str] | None = None) -> SignOffs:
    return TWO.counting(found, SUBJECT, signers or {})


def test_it_waits_until_enough_persons_have_signed() -> None:
    assert counting().state == counting(record()).state == "waiting"
    both = counting(record("Grace"), record())
    assert (both.state, both.count, both.names) == ("complete", "2 of 2", "Ada (claimed), Grace (claimed)")
    assert counting(record()).sentence == (
        "Waits for sign-off by 2 persons until 2026-03-08 12:00 UTC: 1 of 2. Signed off by Ada (claimed)."
    )


def test_one_refusal_outweighs_every_signature_and_no_answer_is_no() -> None:
    refused = counting(record(), record("Grace"), record("Joan", choice="refuse", reason="Not now."))
    assert (refused.state, refused.sentence) == ("refused", "Refused by Joan (claimed): Not now.")
    assert counting(record()).at(UNTIL).state == "waiting"
    late = UNTIL + timedelta(seconds=1)
    assert counting(record()).at(late).state == counting(record(), record("Grace")).at(late).state == "expired"
    assert refused.at(late).state == "refused"
    assert "no answer is no" in counting().at(late).sentence


@pytest.mark.parametrize("field", ["model", "version", "device", "run", "verdict_sha256", "file_sha256"])
def test_a_record_about_anything_else_does_not_count(field: str) -> None:
    other = SUBJECT.model_copy(update={field: "another"})
    assert counting(record(subject=other)).given == ()
    signed = record(key=ADA)
    moved = signed.model_copy(update={"subject": other})
    assert TWO.counting([moved], other, SIGNERS).given == ()  # the signature is that of the first subject


def test_a_record_that_came_too_late_does_not_count() -> None:
    assert counting(record(given=UNTIL)).given and not counting(record(given=UNTIL + timedelta(seconds=1))).given


@pytest.mark.parametrize("other", ["Ada", "ADA", " ada ", "Ａda", "a\u0064a"])
def test_one_name_counts_once_in_every_spelling(other: str) -> None:
    assert counting(record(), record(other, reason="Again.")).count == "1 of 2"


def test_names_with_accents_are_one_name_in_both_encodings() -> None:
    assert folded("Zoe\u0308") == folded("Zo\u00eb") and folded("Straße") == folded("STRASSE")


def test_with_signers_only_their_signatures_count() -> None:
    good = counting(record(key=ADA), record("grace", GRACE), signers=SIGNERS)
    assert (good.state, good.names) == ("complete", "Ada (by key), grace (by key)")
    for forged in (
        record(),  # a bare name
        record(key=GRACE),  # another's key
        record("Joan", ADA),  # a name that is not listed
        record(key=ADA).model_copy(update={"reason": "Changed."}),
        record(key=ADA).model_copy(update={"choice": "refuse"}),
        record(key=ADA).with_signature("no base64"),
    ):
        assert counting(forged, signers=SIGNERS).given == ()


def test_a_signature_without_signers_is_still_a_claim() -> None:
    assert counting(record(key=ADA)).names == "Ada (claimed)"


def test_it_survives_json_with_its_statement() -> None:
    signed = record(key=ADA)
    again = SignOff.model_validate_json(signed.model_dump_json())
    assert again == signed and is_signed(again.statement, again.signature, SIGNERS["Ada"])
    assert signed.statement.startswith(b"edgewright sign-off 1\n")
    assert "signature" not in json.loads(signed.statement.partition(b"\n")[2])


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_every_text_of_a_record_is_signed(name: str, reason: str) -> None:
    signed = record(name, ADA, reason=reason)
    assert is_signed(signed.statement, signed.signature, SIGNERS["Ada"])
    changed = signed.model_copy(update={"reason": f"{reason}!"})
    assert not is_signed(changed.statement, changed.signature, SIGNERS["Ada"])


@pytest.mark.parametrize(
    "name", ["", " ", "Ada (by key)", "Ada, Grace", "A\nB", "x" * 101, "Ada\u202e", "<b>", "Ada\u200b"]
)
def test_a_name_that_could_be_read_as_another_is_refused(name: str) -> None:
    with pytest.raises(SignOffError, match="expected the name of a person"):
        check_person(name, "It is good.")


@pytest.mark.parametrize("name", ["Ada Lovelace", "Zoë Müller-Weiß", "李 明", "आदा", "O'Neil", "ada@example.org"])
def test_names_of_persons_are_names(name: str) -> None:
    check_person(name, "It is good.")


def test_a_reason_is_needed() -> None:
    with pytest.raises(SignOffError, match="expected a reason on one line"):
        check_person("Ada", "  ")


@pytest.mark.parametrize(
    ("persons", "days", "signers", "says"),
    [
        (2, None, {}, "key `sign_off`: expected `sign_off_within_days` beside it"),
        (None, 7.0, {}, "key `sign_off_within_days`: expected `sign_off` beside it"),
        (None, None, SIGNERS, "key `signers`: expected `sign_off` beside it"),
        (2, 7.0, {"Ada": SIGNERS["Ada"]}, "expected at least 2 persons, as `sign_off` asks for, got 1"),
        (1, 7.0, {"Ada": "AAAA"}, "key `signers.Ada`: expected an ed25519 public key of 32 bytes"),
        (1, 7.0, {"Ada, Grace": SIGNERS["Ada"]}, "expected the name of a person"),
        (1, 7.0, {"Ada": SIGNERS["Ada"], "ADA": SIGNERS["Grace"]}, "key `signers.ADA`: expected a name of its own"),
        (1, 7.0, {"Ada": SIGNERS["Ada"], "Al": SIGNERS["Ada"]}, "key `signers.Al`: expected a key of its own"),
    ],
)
def test_what_a_recipe_asks_for_fits_together(
    persons: int | None, days: float | None, signers: dict[str, str], says: str
) -> None:
    with pytest.raises(SignOffError, match=says):
        check_asked(persons, days, signers)


def test_a_recipe_may_ask_for_two_of_its_signers_or_for_nobody() -> None:
    check_asked(2, 7.0, SIGNERS)
    check_asked(1, 0.5, {})
    check_asked(None, None, {})
