"""The Prefect form `sign-off` on real servers: a person lets a waiting version be published."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient

from tests.end_to_end.prefect_api import PrefectApi
from tests.end_to_end.servers import Stack
from tests.end_to_end.tiny.upstream import MODEL, register
from tests.end_to_end.tiny.variants import write_variant

pytestmark = pytest.mark.end_to_end

FORM = "sign-off/edgewright"
DEVICE = "signed"
SECONDS = 240
ADA: dict[str, Any] = {"your_name": "Ada Lovelace", "reason": "The report reads well.", "decision": "publish"}


@pytest.fixture(scope="module")
def waiting(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PrefectApi, str]]:
    """The API of a server with a worker, and a version that waits for one person, as MODEL/VERSION."""
    stack.begin("prefect")
    stack.start("mlflow")
    version = register(stack.mlflow)
    stack.start("worker")
    asked = {"sign_off": 1, "sign_off_within_days": 1.0}
    recipe = write_variant(tmp_path_factory.mktemp("asked"), DEVICE, asked)
    with PrefectApi(stack.prefect) as api:
        parameters = {"model": MODEL, "version": version, "recipe": recipe}
        run = api.finished("compress/edgewright", parameters, seconds=SECONDS)
        assert run["state_type"] == "COMPLETED", f"{run['state']}\n{stack.log('worker')}"
        yield api, f"{MODEL}/{version}"


def test_the_form_publishes_what_waits_and_an_empty_one_is_no_yes(
    stack: Stack, waiting: tuple[PrefectApi, str]
) -> None:
    api, subject = waiting
    registry = MlflowClient(stack.mlflow, registry_uri=stack.mlflow)
    version = subject.partition("/")[2]
    assert registry.get_model_version(MODEL, version).tags["edgewright.answer"] == "waiting"
    undecided = {key: value for key, value in ADA.items() if key != "decision"}
    refused = api.submit(FORM, {"version": subject, **undecided})
    assert refused.status_code == httpx.codes.CONFLICT and "decision" in refused.text
    run = api.finished(FORM, {"version": subject, **ADA}, seconds=SECONDS)
    assert run["state_type"] == "COMPLETED", f"{run['state']}\n{stack.log('worker')}"
    assert run["name"] == f"publish {subject}: Ada Lovelace"
    assert registry.get_model_version(MODEL, version).tags["edgewright.answer"] == "published"
    edge = registry.get_model_version_by_alias(f"{MODEL}-{DEVICE}", "deployed")
    assert edge.run_id is not None and edge.tags["edgewright.sign_off"] == "Signed off by Ada Lovelace (claimed)."
    report = registry.download_artifacts(edge.run_id, "report.html")
    assert "signed off by Ada Lovelace (claimed)" in Path(report).read_text(encoding="utf-8")
