"""The flow `resign`: it signs again each day, and people are told long before anything needs them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Timestamp

from flows.keys import resigning
from flows.visibility import Notice
from tasks.errors import KeysError
from tasks.repository import Expiry, SignedRepository, utc_now
from tasks.workspace import Workspace

MONDAY, TUESDAY = datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 3, 2, tzinfo=UTC)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Notice]:
    notices: list[Notice] = []
    monkeypatch.setattr(resigning, "notify", notices.append)
    return notices


def timestamp_of(home: Path) -> Timestamp:
    return Metadata[Timestamp].from_bytes((home.parent / "target/metadata/timestamp.json").read_bytes()).signed


def resign(**given: Workspace) -> list[str]:
    said: list[str] = resigning.resign.fn(**given)
    return said


def test_the_timestamp_is_signed_again_and_nobody_is_told(begun: Path, told: list[Notice]) -> None:
    assert timestamp_of(begun).version == 1
    assert resign() == []
    assert timestamp_of(begun).version in (1, 2)  # one that was signed in this very second is new enough
    assert told == []


def test_a_later_day_gets_a_new_timestamp(begun: Path, told: list[Notice], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SignedRepository, "__init__", _later(1))
    assert resign() == []
    assert timestamp_of(begun).version == 2 and told == []


def _later(days: float) -> object:
    real = SignedRepository.__init__

    def init(self: SignedRepository, *given: object) -> None:
        real(self, *given)  # type: ignore[arg-type]
        self._clock = lambda: utc_now() + timedelta(days=days)

    return init


def test_nothing_is_done_where_no_repository_was_begun(home: Path, told: list[Notice]) -> None:
    assert resign() == []
    assert told == [] and not (home.parent / "target").exists()


def test_people_are_told_what_needs_them(begun: Path, told: list[Notice], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SignedRepository, "__init__", _later(360))
    said = resign()
    assert [each.split()[0] for each in said] == ["root", "targets"]
    assert said[0].endswith("expires in 5 days: persons must sign it again: edgewright keys renew root --with KEY")
    (notice,) = told
    assert notice.kind == "needs a person" and notice.subject == "Edgewright: signing keys: needs a person"
    assert said[0] in notice.body and str(begun.parent / "target") in notice.body
    assert timestamp_of(begun).version == 2  # what a machine can sign is signed all the same


def test_people_are_told_at_once_where_signing_fails(
    begun: Path, told: list[Notice], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert begun.is_dir()
    monkeypatch.setenv("EDGEWRIGHT_KEYS_PASSPHRASE", "another passphrase")
    monkeypatch.setattr(SignedRepository, "__init__", _later(1))
    with pytest.raises(KeysError, match="got another file or passphrase"):
        resign()
    assert [notice.kind for notice in told] == ["needs a person"] and "passphrase of" not in told[0].body


def test_a_workspace_may_be_named(begun: Path, told: list[Notice], tmp_path: Path) -> None:
    elsewhere = Workspace.at(tmp_path / "elsewhere", target=tmp_path / "nothing")
    assert resign(workspace=elsewhere) == [] and told == []
    assert timestamp_of(begun).version == 1


@pytest.mark.parametrize(
    ("day", "left", "is_told"),
    [(MONDAY, 55, True), (TUESDAY, 55, False), (TUESDAY, 13, True), (TUESDAY, -1, True), (MONDAY, 1, True)],
)
def test_notices_come_each_week_and_at_last_each_day(day: datetime, left: int, is_told: bool) -> None:
    expiry = Expiry("root", 1, day + timedelta(days=left), (), 1, "sign it")
    assert resigning.is_told([expiry], day) is is_told
    assert ("has expired" in resigning.in_a_sentence(expiry, day)) is (left < 0)
