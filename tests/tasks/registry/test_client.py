"""Getting at MLflow: addresses, stores that cannot be opened, experiments, pages."""

from pathlib import Path

import pytest
from mlflow.store.entities import PagedList

from tasks.errors import RegistryError, RegistryUnavailable
from tasks.registry.client import all_pages, client_for, experiment_id


def test_an_embedded_store_gets_its_folder_and_its_client_is_kept(tracking_uri: str) -> None:
    client = client_for(tracking_uri)
    assert Path(tracking_uri.removeprefix("sqlite:///")).is_file()
    assert client_for(tracking_uri) is client


@pytest.mark.parametrize("address", ["mlruns", "file:///tmp/mlruns", "postgresql://host/db", ""])
def test_another_kind_of_address_is_refused(address: str) -> None:
    with pytest.raises(
        RegistryError, match=r"MLFLOW_TRACKING_URI: expected sqlite:///PATH or the http\(s\) address .* got '"
    ):
        client_for(address)


def test_a_store_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RegistryUnavailable, match=r"expected an answer, got .*; see that its server runs, and that"):
        client_for(f"sqlite:///{tmp_path}/file/mlflow.db")


def test_a_damaged_store_says_so(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(RegistryUnavailable, match=r"expected an answer, got .*not a database"):
        client_for(f"sqlite:///{tmp_path}/mlflow.db")


def test_an_experiment_is_made_once_beside_its_database(tracking_uri: str) -> None:
    client = client_for(tracking_uri)
    made = experiment_id(client, "client-once")
    assert experiment_id(client, "client-once") == made
    beside = Path(tracking_uri.removeprefix("sqlite:///")).parent / "artifacts" / "client-once"
    assert client.get_experiment(made).artifact_location == str(beside)


def test_an_experiment_that_another_process_makes_in_between_is_taken(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_for(tracking_uri)
    made = experiment_id(client, "client-race")
    answers = iter([None, client.get_experiment(made)])
    monkeypatch.setattr(client, "get_experiment_by_name", lambda _: next(answers))
    assert experiment_id(client, "client-race") == made


def test_a_deleted_experiment_is_named_with_the_way_back(tracking_uri: str) -> None:
    client = client_for(tracking_uri)
    client.delete_experiment(experiment_id(client, "client-deleted"))
    with pytest.raises(RegistryError, match=r"experiment client-deleted: .* got a deleted one; restore it in MLflow"):
        experiment_id(client, "client-deleted")


def test_a_server_that_is_down_is_no_missing_experiment(unreachable: str) -> None:
    with pytest.raises(RegistryUnavailable, match=f"MLflow at {unreachable}: expected an answer, got"):
        experiment_id(client_for(unreachable), "any")


def test_every_page_is_read() -> None:
    pages = {None: PagedList([1, 2], "next"), "next": PagedList([3], "last"), "last": PagedList([4], None)}
    assert all_pages(lambda token: pages[token]) == [1, 2, 3, 4]
