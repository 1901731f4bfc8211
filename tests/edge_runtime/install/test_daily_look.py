"""The daily look: every byte is read once a day, damage is told, and a lost record costs one more look."""

from datetime import UTC, datetime, timedelta

import pytest

from edge_runtime.install.daily_look import LOOKED_AT, is_intact
from tests.edge_runtime.install.carried import MODEL
from tests.edge_runtime.install.conftest import Site

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def digest(site: Site) -> str:
    return site.install(site.carry(1)).bundle.digest


def damage(site: Site, digest: str) -> None:
    graph = site.store.identified(MODEL, digest).entry_path
    graph.chmod(0o644)
    content = graph.read_bytes()
    graph.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_damage_is_seen_a_day_later_at_the_latest(site: Site, digest: str, caplog: pytest.LogCaptureFixture) -> None:
    assert is_intact(site.store, MODEL, digest, NOW)
    damage(site, digest)
    assert is_intact(site.store, MODEL, digest, NOW + timedelta(hours=23))
    assert not is_intact(site.store, MODEL, digest, NOW + timedelta(hours=24))
    assert "what runs is damaged, and is brought again" in caplog.text


def test_a_clock_that_steps_back_is_no_reason_to_look_away(site: Site, digest: str) -> None:
    assert is_intact(site.store, MODEL, digest, NOW)
    damage(site, digest)
    assert not is_intact(site.store, MODEL, digest, NOW - timedelta(days=9000))


@pytest.mark.parametrize("record", [b"", b"[]", b'{"x": 1}', b'{"x": "soon"}', b"[" * 60_000])
def test_a_damaged_record_is_begun_anew(site: Site, digest: str, record: bytes) -> None:
    path = site.store.root / LOOKED_AT
    path.write_bytes(record)
    damage(site, digest)
    assert not is_intact(site.store, MODEL, digest, NOW)
    assert path.read_bytes() == record


def test_the_record_does_not_grow(site: Site, digest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.install.daily_look._MOST_KEPT", 1)
    (site.store.root / LOOKED_AT).write_text('{"%s": "2026-04-01T00:00:00Z"}' % ("a" * 64))
    assert is_intact(site.store, MODEL, digest, NOW)
    assert (site.store.root / LOOKED_AT).read_text() == f'{{"{digest}": "2026-05-01T12:00:00Z"}}'
