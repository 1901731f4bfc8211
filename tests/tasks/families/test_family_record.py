"""The record of what a family was made of, as tags."""

import pytest

from tasks.families import FamilyRecord, RecordedMember
from tasks.families.family_record import FAMILY, MEMBER

RECORD = FamilyRecord(
    (RecordedMember("kind", "m", "3", "m 3 there", (10,)), RecordedMember("size", "n", "1", "n 1", (), "size")),
    None,
    "abc",
)


def test_it_comes_back_from_tags() -> None:
    assert FamilyRecord.of({**RECORD.tags, "another": "tag"}) == RECORD


@pytest.mark.parametrize("tag", [FAMILY, f"{MEMBER}size"])
def test_one_that_is_not_whole_is_none(tag: str) -> None:
    tags = RECORD.tags
    assert FamilyRecord.of({key: text for key, text in tags.items() if key != tag}) is None
    assert FamilyRecord.of({**tags, tag: "{"}) is None
    assert FamilyRecord.of({**tags, tag: "[]"}) is None


def test_the_same_members_are_told_from_others() -> None:
    other = FamilyRecord(RECORD.members, "layer4", "abc")
    fewer = FamilyRecord(RECORD.members[:1], None, "abc")
    assert RECORD.same_members(FamilyRecord(RECORD.members, None, "another"))
    assert not any(RECORD.same_members(each) for each in (other, fewer, None))
