"""Triton's own client against the real process: every way in which it can ask."""

from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio

from tests.edge_runtime.models import weights
from tests.edge_runtime.server.served_process import ServedProcess

ROWS = np.random.default_rng(5).standard_normal((600, 8), dtype=np.float32)
RIGHT = ROWS @ weights(8, 3)


@pytest.fixture(scope="module")
def client(defects: ServedProcess) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(defects.address, concurrency=4) as made:
        yield made


def sent(rows: np.ndarray, *, binary: bool = True, datatype: str = "FP32", name: str = "x") -> list[triton.InferInput]:
    made = triton.InferInput(name, list(rows.shape), datatype)
    made.set_data_from_numpy(rows, binary_data=binary)
    return [made]


def test_health_and_metadata_are_told(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("defects") and client.is_model_ready("defects", "3")
    assert not client.is_model_ready("defects", "4") and not client.is_model_ready("other")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    told = client.get_model_metadata("defects", "3")
    assert told["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 8]}]


@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [False, True])
def test_answers_are_right_in_every_form(
    client: triton.InferenceServerClient, binary: bool, coding: str | None
) -> None:
    wanted = [triton.InferRequestedOutput("y", binary_data=binary)]
    answer = client.infer(
        "defects",
        sent(ROWS, binary=binary),
        outputs=wanted,
        request_id="id-7",
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    np.testing.assert_allclose(answer.as_numpy("y"), RIGHT, rtol=1e-4, atol=1e-5)
    told = answer.get_response()
    assert (told["id"], told["model_name"], told["model_version"]) == ("id-7", "defects", "3")


def test_without_wishes_everything_comes_as_binary_data(client: triton.InferenceServerClient) -> None:
    answer = client.infer("defects", sent(ROWS), model_version="3", timeout=60_000_000)
    assert answer.get_output("y")["parameters"] == {"binary_data_size": RIGHT.nbytes}
    np.testing.assert_allclose(answer.as_numpy("y"), RIGHT, rtol=1e-4, atol=1e-5)


def test_many_requests_at_once_each_get_their_own_answer(client: triton.InferenceServerClient) -> None:
    waiting = [client.async_infer("defects", sent(ROWS[at : at + 1])) for at in range(64)]
    for at, each in enumerate(waiting):
        np.testing.assert_allclose(each.get_result().as_numpy("y"), RIGHT[at : at + 1], rtol=1e-4, atol=1e-5)


def test_the_client_for_asyncio_is_answered(defects: ServedProcess) -> None:
    import asyncio

    async def ask() -> np.ndarray:
        async with triton_aio.InferenceServerClient(defects.address) as made:
            answer = await made.infer("defects", sent(ROWS))
            return np.asarray(answer.as_numpy("y"))

    np.testing.assert_allclose(asyncio.run(ask()), RIGHT, rtol=1e-4, atol=1e-5)


def refused(client: triton.InferenceServerClient, inputs: list[triton.InferInput], **more: object) -> tuple[str, str]:
    with pytest.raises(triton.InferenceServerException) as caught:
        client.infer("defects", inputs, **more)
    return caught.value.status(), caught.value.message()


def test_what_is_wrong_is_said_in_words(client: triton.InferenceServerClient) -> None:
    assert refused(client, sent(ROWS, name="z"))[0] == "400"
    assert refused(client, sent(ROWS[:, :7]))[0] == "400"
    assert refused(client, sent(ROWS.astype(np.float64), datatype="FP64"))[0] == "400"
    assert refused(client, sent(ROWS), outputs=[triton.InferRequestedOutput("z")])[0] == "400"
    assert refused(client, sent(ROWS), model_version="4")[0] == "404"
    assert refused(client, sent(ROWS), sequence_id=7)[0] == "400"
    assert refused(client, sent(ROWS), outputs=[triton.InferRequestedOutput("y", class_count=2)])[0] == "400"
    status, message = refused(client, sent(np.array([[b"a"]], np.object_), datatype="BYTES"))
    assert status == "400" and "expected a datatype of BOOL" in message
    assert refused(client, sent(ROWS), timeout=1)[0] == "504"
