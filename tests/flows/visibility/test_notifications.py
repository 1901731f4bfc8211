"""Notifications: the names of blocks, and blocks that are not there."""

import pytest

from deployments.errors import ConfigurationError
from flows.visibility import needs_person, notify
from flows.visibility.notifications import NOTIFY, named_blocks


def test_blocks_are_named_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NOTIFY, " slack-webhook/ops , custom-webhook/pager,")
    assert named_blocks() == ("slack-webhook/ops", "custom-webhook/pager")
    monkeypatch.delenv(NOTIFY)
    assert named_blocks() == ()


@pytest.mark.parametrize("name", ["ops", "slack-webhook/", "/ops", "https://hooks.example/secret"])
def test_a_name_that_is_none_is_refused_with_the_form(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NOTIFY, f"slack-webhook/ops,{name}")
    with pytest.raises(ConfigurationError, match=f"{NOTIFY}: expected blocks as TYPE/NAME"):
        named_blocks()


def test_a_notice_changes_nothing_where_the_names_are_wrong(monkeypatch: pytest.MonkeyPatch, warned: list[str]) -> None:
    monkeypatch.setenv(NOTIFY, "ops")
    notify(needs_person("digits", "3", "look"))
    assert len(warned) == 1
    assert warned[0].startswith("nobody is notified: EDGEWRIGHT_NOTIFY: expected blocks as TYPE/NAME")
