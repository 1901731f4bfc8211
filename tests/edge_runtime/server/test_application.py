"""The application without sockets: paths, forms, errors and their status codes."""

import asyncio
import gzip
import json
import logging
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import numpy as np
import pytest

from edge_runtime.errors import AnswerFailed, BadRequest, DeadlineExceeded, ModelNotServed, Overloaded, ServingError
from edge_runtime.server import InferenceApplication, ServerLimits
from tests.edge_runtime.server.memory_models import DIGEST, ECHO, PAIR, MemoryModels

T = TypeVar("T")
INFER = f"/v2/models/{PAIR}/infer"
ROWS = {"datatype": "FP32", "shape": [1, 2]}
ASKED = {"inputs": [{"name": "a", "data": [5, 6], **ROWS}, {"name": "b", "data": [1, 2], **ROWS}]}


def talk(
    work: Callable[[httpx.AsyncClient], Awaitable[T]],
    models: MemoryModels | None = None,
    limits: ServerLimits | None = None,
    *,
    log_requests: bool = False,
) -> T:
    """Let a client talk to the application inside an event loop."""

    async def run() -> T:
        application = InferenceApplication(
            models or MemoryModels(), limits or ServerLimits(), log_requests=log_requests
        )
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://device") as client:
            return await work(client)

    return asyncio.run(run())


def get(path: str, models: MemoryModels | None = None) -> httpx.Response:
    return talk(lambda client: client.get(path), models)


def post(
    path: str, models: MemoryModels | None = None, limits: ServerLimits | None = None, **more: Any
) -> httpx.Response:
    return talk(lambda client: client.post(path, **more), models, limits)


def refused(response: httpx.Response, status: int) -> str:
    assert (response.status_code, response.headers["content-type"]) == (status, "application/json"), response.text
    assert set(response.json()) == {"error"}
    said: str = response.json()["error"]
    assert said
    return said


def test_the_server_tells_of_itself() -> None:
    assert get("/v2/health/live").json() == {"live": True}
    assert get("/v2/health/ready").json() == {"ready": True}
    for path in ("/v2", "/v2/"):
        told = get(path).json()
        assert told["name"] == "edgewright" and told["version"] and told["extensions"] == ["binary_tensor_data"]


def test_the_server_is_ready_once_every_model_is() -> None:
    models = MemoryModels()
    models.ready[ECHO] = False
    assert get("/v2/health/ready", models).status_code == 503
    assert get("/v2/health/live", models).status_code == 200
    assert get(f"/v2/models/{ECHO}/ready", models).status_code == 503
    assert get(f"/v2/models/{PAIR}/ready", models).status_code == 200


@pytest.mark.parametrize("path", [f"/v2/models/{PAIR}", f"/v2/models/{PAIR}/versions/3"])
def test_a_model_tells_of_itself(path: str) -> None:
    told = get(path).json()
    assert (told["name"], told["versions"], told["platform"]) == (PAIR, ["3"], "onnxruntime_onnx")
    assert told["inputs"] == [{"name": name, "datatype": "FP32", "shape": [-1, 2]} for name in ("a", "b")]
    assert [each["name"] for each in told["outputs"]] == ["total", "difference"]
    assert told["properties"] == {"release": "7", "digest": DIGEST}
    assert get(f"{path}/ready").json() == {"name": PAIR, "ready": True}


@pytest.mark.parametrize("path", [INFER, f"/v2/models/{PAIR}/versions/3/infer"])
def test_json_is_answered_with_json(path: str) -> None:
    response = post(path, json={**ASKED, "id": "42"})
    assert response.status_code == 200 and response.headers["content-type"] == "application/json"
    assert response.json() == {
        "model_name": PAIR,
        "model_version": "3",
        "id": "42",
        "outputs": [
            {"name": "total", "datatype": "FP32", "shape": [1, 2], "data": [6, 8]},
            {"name": "difference", "datatype": "FP32", "shape": [1, 2], "data": [4, 4]},
        ],
    }


def test_outputs_come_as_they_were_named() -> None:
    response = post(INFER, json={**ASKED, "outputs": [{"name": "difference"}]})
    assert [each["name"] for each in response.json()["outputs"]] == ["difference"]
    assert "id" not in response.json()


def binary_request(array: np.ndarray, **more: Any) -> tuple[bytes, dict[str, str]]:
    tensor = {"datatype": "FP32", "shape": list(array.shape), "parameters": {"binary_data_size": array.nbytes}}
    document = {"inputs": [{"name": "a", **tensor}, {"name": "b", **tensor}], **more}
    head = json.dumps(document).encode()
    return head + array.tobytes() + (array * 2).tobytes(), {"Inference-Header-Content-Length": str(len(head))}


def test_binary_data_is_answered_with_binary_data() -> None:
    array = np.random.default_rng(1).standard_normal((3, 2), dtype=np.float32)
    content, headers = binary_request(array, parameters={"binary_data_output": True})
    response = post(INFER, content=content, headers=headers)
    assert response.headers["content-type"] == "application/octet-stream"
    length = int(response.headers["inference-header-content-length"])
    assert [each["parameters"]["binary_data_size"] for each in json.loads(response.content[:length])["outputs"]] == [
        24,
        24,
    ]
    np.testing.assert_array_equal(np.frombuffer(response.content[length:][:24], np.float32).reshape(3, 2), array * 3)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_bodies_are_compressed_where_the_client_does(coding: str) -> None:
    array = np.zeros((300, 2), np.float32)
    content, headers = binary_request(array)
    packed = gzip.compress(content) if coding == "gzip" else zlib.compress(content)
    response = post(INFER, content=packed, headers={**headers, "Content-Encoding": coding, "Accept-Encoding": coding})
    assert response.status_code == 200 and response.headers["content-encoding"] == coding
    assert response.json()["outputs"][0]["data"] == [0] * 600
    plain = post(INFER, content=packed, headers={**headers, "Content-Encoding": coding, "Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers and plain.json() == response.json()


def test_a_small_response_is_not_compressed() -> None:
    assert "content-encoding" not in post(INFER, json=ASKED, headers={"Accept-Encoding": "gzip"}).headers


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequest("no"), 400),
        (ModelNotServed("no"), 404),
        (Overloaded("no", 2.5), 503),
        (DeadlineExceeded("no"), 504),
        (AnswerFailed("no"), 500),
        (ServingError("no"), 500),
    ],
)
def test_an_error_of_serving_has_its_status(error: ServingError, status: int) -> None:
    models = MemoryModels()
    models.raises = error
    response = post(INFER, models, json=ASKED)
    assert refused(response, status) == "no"
    assert response.headers.get("retry-after") == ("3" if status == 503 else None)


def test_a_mistake_of_ours_tells_the_log_and_not_the_client(caplog: pytest.LogCaptureFixture) -> None:
    models = MemoryModels()
    models.raises = KeyError("a secret")
    with caplog.at_level(logging.ERROR, "edgewright.server"):
        assert "secret" not in refused(post(INFER, models, json=ASKED), 500)
    assert any(getattr(record, "told", {}).get("status") == 500 for record in caplog.records)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v2/models/other", ""),
        ("/v2/models/other/ready", ""),
        (f"/v2/models/{PAIR}/versions/4", "'3', not in '4'"),
        (f"/v2/models/{PAIR}/versions/4/ready", "'3', not in '4'"),
        ("/v2/models", ""),
        ("/", ""),
        ("/v3", ""),
        ("/v2/models/../../etc", ""),
        ("/v2/models/%2e%2e%2f/ready", ""),
        ("/v2/models/%00%ff", ""),
    ],
)
def test_what_is_not_there_is_not_found(path: str, said: str) -> None:
    assert said in refused(get(path), 404)


@pytest.mark.parametrize("path", ["/v2/models/other/infer", f"/v2/models/{PAIR}/versions/4/infer"])
def test_no_other_model_answers(path: str) -> None:
    refused(post(path, json=ASKED), 404)


@pytest.mark.parametrize(("method", "path"), [("POST", "/v2"), ("GET", INFER), ("DELETE", INFER), ("PUT", "/metrics")])
def test_another_method_is_not_allowed(method: str, path: str) -> None:
    response = talk(lambda client: client.request(method, path))
    refused(response, 405)
    assert response.headers["allow"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Inference-Header-Content-Length": "-1"}, 400),
        ({"Inference-Header-Content-Length": "0x10"}, 400),
        ({"Inference-Header-Content-Length": "9" * 300}, 400),
        ({"Inference-Header-Content-Length": "100000"}, 400),
        ({"Request-Timeout": "soon"}, 400),
        ({"Request-Timeout": "-1"}, 400),
        ({"Request-Timeout": "0"}, 400),
        ({"Request-Timeout": "1e3"}, 400),
        ({"Request-Timeout": "99999"}, 400),
        ({"Content-Encoding": "br"}, 415),
        ({"Content-Encoding": "gzip"}, 400),
    ],
)
def test_headers_that_lie_are_refused(headers: dict[str, str], status: int) -> None:
    refused(post(INFER, json=ASKED, headers=headers), status)


def test_the_shorter_deadline_holds_less_the_time_that_is_gone() -> None:
    models = MemoryModels()
    post(INFER, models, json={**ASKED, "parameters": {"timeout": 60_000_000}}, headers={"Request-Timeout": "90"})
    post(INFER, models, json={**ASKED, "parameters": {"timeout": 600_000_000}}, headers={"Request-Timeout": "90.5"})
    post(INFER, models, json=ASKED)
    first, second, none = models.deadlines
    assert first is not None and 0 < first < 60 and second is not None and 60 < second < 90.5 and none is None


def test_a_request_that_came_too_late_is_not_answered() -> None:
    models = MemoryModels()
    refused(post(INFER, models, json={**ASKED, "parameters": {"timeout": 1}}), 504)
    assert models.deadlines == []


SMALL = ServerLimits(body=1000, bodies=1500, json=500)


def test_a_body_beyond_its_bound_is_refused() -> None:
    async def chunks() -> Any:
        for _ in range(3):
            yield b" " * 400

    for more in ({"content": b" " * 1001}, {"content": chunks()}, {"content": b" " * 501}):
        refused(post(INFER, limits=SMALL, **more), 413)
    bomb = gzip.compress(bytes(1 << 20))[:1000]
    assert refused(post(INFER, limits=SMALL, content=bomb, headers={"Content-Encoding": "gzip"}), 413)


def test_bodies_beyond_what_fits_together_are_turned_away_and_others_go_on() -> None:
    models = MemoryModels()
    content, headers = binary_request(np.ones((40, 2), np.float32))
    assert 750 < len(content) <= 1000

    async def work(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response, httpx.Response]:
        models.gate = asyncio.Event()
        first = asyncio.create_task(client.post(INFER, content=content, headers=headers))
        await models.entered.wait()
        second = await client.post(INFER, content=content, headers=headers)
        models.gate.set()
        return await first, second, await client.post(INFER, content=content, headers=headers)

    first, second, third = talk(work, models, SMALL)
    assert (first.status_code, third.status_code) == (200, 200)
    assert "no room" in refused(second, 503) and second.headers["connection"] == "close"


def test_a_client_that_goes_away_gives_its_request_up() -> None:
    models = MemoryModels()
    statuses: list[int] = []

    async def run() -> None:
        models.gate = asyncio.Event()
        gone = asyncio.Event()
        messages = [{"type": "http.request", "body": json.dumps(ASKED).encode(), "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        application = InferenceApplication(models, ServerLimits())
        scope = {"type": "http", "method": "POST", "path": INFER, "raw_path": INFER.encode(), "root_path": "",
                 "query_string": b"", "headers": [], "http_version": "1.1"}  # fmt: skip
        answered = asyncio.create_task(application(scope, receive, send))
        await models.entered.wait()
        gone.set()
        await answered

    asyncio.run(run())
    assert (models.cancelled, statuses) == (1, [499])


def test_metrics_tell_what_was_asked() -> None:
    async def work(client: httpx.AsyncClient) -> httpx.Response:
        await client.post(INFER, json=ASKED)
        await client.get("/nowhere")
        await client.request("BREW", "/v2")
        return await client.get("/metrics")

    response = talk(work)
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    for labels in ('handler="model_infer",method="POST",status="200"', 'handler="none",method="GET",status="404"',
                   'handler="server_metadata",method="other",status="405"'):  # fmt: skip
        assert f"http_requests_total{{{labels}}} 1\n" in response.text


def test_a_request_is_logged_on_demand_and_without_its_content(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgewright.server")
    post(INFER, json={**ASKED, "id": "a secret"})
    assert caplog.records == []
    talk(lambda client: client.post(INFER, json={**ASKED, "id": "a secret"}), log_requests=True)
    (record,) = caplog.records
    told = record.__dict__["told"]
    assert told.pop("seconds") >= 0
    assert told == {"handler": "model_infer", "method": "POST", "status": 200, "model": PAIR}
