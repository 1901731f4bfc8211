"""Records of answers on versions' own pages: written and read again, and none where a text is of another form."""

import json
from dataclasses import replace

import pytest

from tasks.registry import Answered, AnsweredDevice
from tasks.registry.answered import answered_by

RECORD = Answered(
    "tiny", "3", "small", "run", "partly published", 17, "key", 2, 17,
    {"a": AnsweredDevice("published", "k", "q", release=4, parts={"library/torch": "2.13.0"}),
     "b": AnsweredDevice("refused", "k", "q", final=True)},
)  # fmt: skip


def read(text: str, model: str = "tiny", version: str = "3") -> dict[str, Answered]:
    return answered_by(model, version, {"edgewright.answered.small": text, "edgewright.answer": "published"})


def test_a_record_is_read_as_it_was_written() -> None:
    name, text = RECORD.tag
    assert (name, read(text)) == ("edgewright.answered.small", {"small": RECORD})


@pytest.mark.parametrize(("model", "version"), [("other", "3"), ("tiny", "4")])
def test_a_record_about_another_version_is_none(model: str, version: str) -> None:
    assert read(RECORD.tag[1], model, version) == {}


CONTENT = json.loads(RECORD.tag[1])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        json.dumps(CONTENT | {"ended": "soon"}),
        json.dumps(CONTENT | {"ended": 10**400}),
        json.dumps(CONTENT | {"decided": -1}),
        json.dumps(CONTENT | {"attempts": True}),
        json.dumps(CONTENT | {"answer": None}),
        json.dumps(CONTENT | {"devices": [1]}),
        json.dumps(CONTENT | {"devices": {"a": 1}}),
        json.dumps(CONTENT | {"devices": {"a": {"answer": "published", "release": "4"}}}),
        json.dumps(CONTENT | {"devices": {"a": {"answer": "published", "parts": 1}}}),
        json.dumps(CONTENT | {"more": 1}),
    ],
)
def test_what_cannot_be_read_counts_as_none(text: str) -> None:
    assert read(text) == {}


def test_what_is_undecided_is_no_decision() -> None:
    assert RECORD.is_decided and not replace(RECORD, decided=0).is_decided
