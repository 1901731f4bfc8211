"""Encoding of answers: what goes out is what came in, in both forms."""

import json

import numpy as np
import pytest

from edge_runtime.errors import BadRequest
from edge_runtime.server.infer_request import InferRequest, RequestedOutput, parse_infer_request
from edge_runtime.server.infer_response import encode_answer
from edge_runtime.settings import DTYPES

JSON = InferRequest({})
BINARY = InferRequest({}, binary=True)


def values(dtype: str) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 2, (3, 2)).astype(dtype)


FORMS = [(dtype, True) for dtype in sorted(DTYPES)] + [(dtype, False) for dtype in sorted(DTYPES - {"float16"})]


@pytest.mark.parametrize(("dtype", "binary"), FORMS)
def test_a_response_can_be_sent_as_a_request(dtype: str, binary: bool) -> None:
    array = values(dtype)
    made = encode_answer(InferRequest({}, id="7", binary=binary), {"y": array.T}, "digits", "3")
    assert (made.header_length is not None) is binary
    document = json.loads(made.body[: made.header_length])
    assert (document["model_name"], document["model_version"], document["id"]) == ("digits", "3", "7")
    document["inputs"] = document.pop("outputs")
    head = json.dumps(document).encode()
    again = head + made.body[made.header_length :] if binary else head
    found = parse_infer_request(again, len(head) if binary else None, 1 << 20)
    np.testing.assert_array_equal(found.arrays["y"], array.T)


def test_each_output_comes_as_it_was_asked_for() -> None:
    request = InferRequest({}, (RequestedOutput("a"), RequestedOutput("b", True), RequestedOutput("c")), binary=False)
    made = encode_answer(request, {name: values("int32") for name in "abc"}, "digits", "3")
    a, b, c = json.loads(made.body[: made.header_length])["outputs"]
    assert a["data"] == c["data"] == values("int32").ravel().tolist()
    assert b["parameters"] == {"binary_data_size": 24} and "data" not in b
    assert len(made.body) == (made.header_length or 0) + 24


def test_floats_keep_every_digit() -> None:
    array = np.array([0.1, 1 / 3, 1e-38, 3.4e38], np.float32)
    (output,) = json.loads(encode_answer(JSON, {"y": array}, "digits", "3").body)["outputs"]
    np.testing.assert_array_equal(np.array(output["data"], np.float32), array)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_comes_as_binary_data_alone(odd: float) -> None:
    array = np.array([1, odd], np.float32)
    with pytest.raises(BadRequest, match="binary_data"):
        encode_answer(JSON, {"y": array}, "digits", "3")
    made = encode_answer(BINARY, {"y": array}, "digits", "3")
    np.testing.assert_array_equal(np.frombuffer(made.body[made.header_length :], np.float32), array)


def test_half_numbers_come_as_binary_data_alone() -> None:
    with pytest.raises(BadRequest, match="binary_data"):
        encode_answer(JSON, {"y": values("float16")}, "digits", "3")


def test_a_strange_id_comes_back_as_it_was() -> None:
    strange = 'a"\\\n\ud800\U0001f600'
    assert json.loads(encode_answer(InferRequest({}, id=strange), {}, "digits", "3").body)["id"] == strange
