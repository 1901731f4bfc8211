"""Changes of root and targets that several persons sign on machines of their own."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.errors import KeysError
from tests.tasks.repository.publishers import Device, FaultyStore, Killed, Publisher, root_of

ROLES = ("online", "camera", "targets", "root")


class TestSeveralPersons:
    """Persons whose keys are on machines of their own: a change is carried from one to the next."""

    def alone(self, publisher: Publisher, number: int) -> list[Path]:
        return [publisher.offline / f"holder-{number}"]

    @pytest.mark.parametrize("role", ROLES)
    def test_each_adds_a_signature_and_then_it_is_published(
        self, fresh: Callable[[], Publisher], tmp_path: Path, role: str
    ) -> None:
        publisher, change = fresh(), tmp_path / "change.json"
        device = Device.shipped(tmp_path / "device", publisher.store)
        assert device.manifest() == b"first"
        before = publisher.store.names("metadata")
        said = publisher.work().rotate(role, self.alone(publisher, 1), tmp_path / "new", change)
        assert any("needs 1 more of the" in each for each in said) and f"edgewright keys sign {change}" in " ".join(
            said
        )
        with pytest.raises(KeysError, match="expected every signature, got fewer"):
            publisher.work().publish(change)
        assert publisher.store.names("metadata") == before
        shown = publisher.work().shown(change)
        assert shown[0] == f"rotate {role}" and {"+", "-"} <= set(" ".join(shown))
        again = publisher.work().sign(change, self.alone(publisher, 1))
        assert any("needs 1 more" in each for each in again)  # one person's keys count once
        assert "Every signature is there." in publisher.work().sign(change, self.alone(publisher, 2))[-1]
        assert publisher.work().publish(change) == publisher.work().publish(change) == [f"Published: rotate {role}."]
        assert device.manifest() == b"first"
        assert "PRIVATE" not in change.read_text()

    def test_what_was_published_meanwhile_stays(self, fresh: Callable[[], Publisher], tmp_path: Path) -> None:
        publisher, change = fresh(), tmp_path / "change.json"
        publisher.work().rotate("camera", self.alone(publisher, 1), None, change)
        publisher.repository().publish("m", "camera", b"second")
        publisher.work().sign(change, self.alone(publisher, 3))
        publisher.work().publish(change)
        assert Device.shipped(tmp_path / "device", publisher.store).manifest() == b"second"

    def test_of_two_changes_the_second_is_to_be_made_again(
        self, fresh: Callable[[], Publisher], tmp_path: Path
    ) -> None:
        publisher, change = fresh(), tmp_path / "change.json"
        publisher.work().renew("root", self.alone(publisher, 1), change)
        publisher.work().sign(change, self.alone(publisher, 2))
        publisher.work().renew("root", publisher.persons, None)
        with pytest.raises(KeysError, match="make the change again"):
            publisher.work().publish(change)

    def test_a_change_that_somebody_altered_lacks_signatures(
        self, fresh: Callable[[], Publisher], tmp_path: Path
    ) -> None:
        publisher, change = fresh(), tmp_path / "change.json"
        publisher.work().renew("root", self.alone(publisher, 1), change)
        publisher.work().sign(change, self.alone(publisher, 2))
        content = json.loads(change.read_text())
        content["documents"][0]["signed"]["roles"]["root"]["threshold"] = 1
        change.write_text(json.dumps(content))
        with pytest.raises(KeysError, match="needs 2 more of the root keys that count now"):
            publisher.work().publish(change)

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"form": "another"}', '{"form": "edgewright key change 1"}'])
    def test_another_file_is_no_change(self, fresh: Callable[[], Publisher], tmp_path: Path, text: str) -> None:
        (tmp_path / "change.json").write_text(text)
        with pytest.raises(KeysError, match="expected a change that edgewright keys wrote"):
            fresh().work().publish(tmp_path / "change.json")


def test_a_change_that_another_one_overtook_is_given_up_and_kept(fresh: Callable[[], Publisher]) -> None:
    publisher = fresh()
    keys = publisher.folder / "keys"
    stopped = FaultyStore(publisher.store, beside=lambda _: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        publisher.work(stopped).renew("root", publisher.persons, None)
    begun = (keys / "change-in-progress.json").read_bytes()
    (keys / "change-in-progress.json").unlink()
    publisher.work().rotate("root", publisher.persons, publisher.folder / "offline-2", None)
    (keys / "change-in-progress.json").write_bytes(begun)
    with pytest.raises(KeysError, match="It is given up and kept as"):
        publisher.work().renew("root", publisher.persons, None)
    assert not (keys / "change-in-progress.json").exists()
    publisher.work().renew("root", [publisher.folder / "offline-2"], None)
    assert root_of(publisher).version == 3


def test_a_begun_change_is_completed_before_another(fresh: Callable[[], Publisher]) -> None:
    publisher = fresh()
    stopped = FaultyStore(publisher.store, beside=lambda _: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        publisher.work(stopped).renew("root", publisher.persons, None)
    publisher.work().renew("targets", publisher.persons, None)
    assert root_of(publisher).version == 2
    assert publisher.repository().reader.state().targets.version == 2
