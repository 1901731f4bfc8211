"""Parsing of requests: all types in both forms, and whatever a hostile client may send."""

import json
import string
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_runtime.errors import BadRequest, TooLarge
from edge_runtime.server.infer_request import InferRequest, RequestedOutput, parse_infer_request
from edge_runtime.settings import DTYPES

MOST = 1 << 20
WIRE = {dtype: "BOOL" if dtype == "bool" else dtype.upper().replace("FLOAT", "FP") for dtype in sorted(DTYPES)}
X = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2.5, 3, 4]}


def body(*inputs: Any, **more: Any) -> bytes:
    return json.dumps({"inputs": list(inputs), **more}).encode()


def parse(data: bytes, header_length: int | None = None) -> InferRequest:
    return parse_infer_request(data, header_length, MOST)


def refused(data: bytes, header_length: int | None = None) -> str:
    with pytest.raises(BadRequest) as caught:
        parse(data, header_length)
    said = str(caught.value)
    assert said.isascii() and "\n" not in said and len(said) < 400
    return said


def values(dtype: str) -> np.ndarray:
    if dtype == "bool":
        return np.array([[True, False], [False, True]])
    if dtype.startswith("float"):
        return np.array([[0.5, -2.0], [0, 1e4]], dtype)
    bounds = np.iinfo(dtype)
    return np.array([[bounds.min, bounds.max], [0, 1]], dtype)


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_every_type_comes_as_binary_data(dtype: str) -> None:
    array = values(dtype)
    tensor = {"name": "x", "datatype": WIRE[dtype], "shape": [2, 2], "parameters": {"binary_data_size": array.nbytes}}
    head = body(tensor)
    for padding in range(8):  # the arrays begin at any address
        padded = head + b" " * padding
        found = parse(padded + array.astype(array.dtype.newbyteorder("<")).tobytes(), len(padded)).arrays["x"]
        assert found.dtype == array.dtype and found.dtype.isnative and found.flags.aligned
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("dtype", sorted(DTYPES - {"float16"}))
@pytest.mark.parametrize("nested", [False, True])
def test_every_type_but_one_comes_as_json(dtype: str, nested: bool) -> None:
    array = values(dtype)
    data = array.tolist() if nested else array.ravel().tolist()
    found = parse(body({"name": "x", "datatype": WIRE[dtype], "shape": [2, 2], "data": data})).arrays["x"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_several_tensors_share_a_body_in_their_order() -> None:
    a, b = np.arange(4, dtype=np.int16), np.arange(3, dtype=np.float64)
    head = body(
        {"name": "a", "datatype": "INT16", "shape": [4], "parameters": {"binary_data_size": 8}},
        X,
        {"name": "b", "datatype": "FP64", "shape": [3], "parameters": {"binary_data_size": 24}},
    )
    found = parse(head + a.tobytes() + b.tobytes(), len(head)).arrays
    assert list(found) == ["a", "x", "b"]
    np.testing.assert_array_equal(found["a"], a)
    np.testing.assert_array_equal(found["b"], b)


def test_tensors_without_elements_are_tensors() -> None:
    flat = parse(body({**X, "shape": [0, 2], "data": []})).arrays["x"]
    nested = parse(body({**X, "shape": [2, 0], "data": [[], []]})).arrays["x"]
    one = parse(body({**X, "shape": [], "data": [7]})).arrays["x"]
    assert (flat.shape, nested.shape, one.shape) == ((0, 2), (2, 0), ())


def test_wishes_are_read() -> None:
    found = parse(
        body(
            X,
            id="42",
            outputs=[{"name": "y", "parameters": {"binary_data": False}}, {"name": "z"}],
            parameters={"binary_data_output": True, "timeout": 250_000, "anything": {"of": "theirs"}},
        )
    )
    assert found.id == "42" and found.timeout_s == 0.25
    assert found.outputs == (RequestedOutput("y", False), RequestedOutput("z"))
    assert found.output_names == ["y", "z"]
    assert (found.is_binary("y"), found.is_binary("z")) == (False, True)


def test_what_is_null_was_not_said() -> None:
    found = parse(body({**X, "parameters": None}, id=None, outputs=None, parameters=None))
    assert (found.id, found.outputs, found.output_names, found.timeout_s) == (None, (), None, None)


def test_a_wait_of_0_is_none_as_it_is_for_triton() -> None:
    assert parse(body(X, parameters={"timeout": 0})).timeout_s is None


def changed(**changes: Any) -> bytes:
    return body({**X, **changes})


HOSTILE = {
    "nothing": (b"", "JSON"),
    "no json": (b"{", "at character 1"),
    "no utf-8": (b'{"inputs": "\xff"}', "UTF-8"),
    "utf-16": (json.dumps({"inputs": []}).encode("utf-16"), "UTF-8"),
    "another value": (b"[]", "a JSON object"),
    "deep": (b"[" * 100_000, "few levels"),
    "deep objects": (b'{"a":' * 100_000, "few levels"),
    "deep data": (changed(data=1).replace(b'"data": 1', b'"data": ' + b"[" * 5000 + b"]" * 5000), ""),
    "a name twice": (b'{"inputs": [], "inputs": []}', "once"),
    "NaN": (changed(data=[1, float("nan"), 3, 4]), "NaN"),
    "Infinity": (changed(data=[1, float("inf"), 3, 4]), "Infinity"),
    "-Infinity": (changed(data=[1, float("-inf"), 3, 4]), "-Infinity"),
    "a number of 5000 digits": (b'{"inputs": ' + b"9" * 5000 + b"}", "JSON"),
    "no inputs": (b"{}", "`inputs`"),
    "inputs of another kind": (b'{"inputs": {}}', "`inputs`"),
    "an input of another kind": (body(3), "`name`"),
    "an input without a name": (changed(name=None), "`name`"),
    "an input twice": (body(X, X), "twice"),
    "too many inputs": (body(*[X] * 257), "at most 256"),
    "no shape": (changed(shape=None), "shape"),
    "a negative size": (changed(shape=[-1, 2]), "sizes from 0"),
    "sizes that overflow": (changed(shape=[1 << 20] * 4), "sizes from 0"),
    "sizes that overflow beside a 0": (changed(shape=[0, 1 << 62]), "sizes from 0"),
    "a size with a fraction": (changed(shape=[2.0, 2]), "whole numbers"),
    "a size that is true": (changed(shape=[True, 4]), "whole numbers"),
    "too many axes": (changed(shape=[1] * 17), "at most 16"),
    "too few values": (changed(data=[1, 2, 3]), "expected 4 values"),
    "too many values": (changed(data=[1] * 5), "expected 4 values"),
    "data of another kind": (changed(data="1234"), "array"),
    "no data": (changed(data=None), "array"),
    "uneven rows": (changed(data=[[1, 2], [3]]), "nested as its shape says"),
    "rows too deep": (changed(data=[[[1], [2]], [[3], [4]]]), "got an array"),
    "rows that are none": (changed(data=[[1, 2], 3]), "nested as its shape says"),
    "texts": (changed(data=["1", "2", "3", "4"]), "got a text"),
    "null": (changed(data=[1, None, 3, 4]), "got null"),
    "true as a number": (changed(data=[1, True, 3, 4]), "got true or false"),
    "a number as true": (changed(datatype="BOOL", data=[1, 0, 1, 0]), "got a whole number"),
    "a fraction as a whole number": (changed(datatype="INT32", data=[1, 2.0, 3, 4]), "fraction"),
    "a whole number too large": (changed(datatype="INT8", data=[1, 128, 3, 4]), "-128 to 127"),
    "a whole number too small": (changed(datatype="UINT64", data=[1, -1, 3, 4]), "0 to"),
    "a number too large for FP32": (changed(data=[1, 1e39, 3, 4]), "too large"),
    "a number too large for all": (changed(datatype="FP64", shape=[1], data=[7]).replace(b"7", b"1e999"), "too large"),
    "a whole number too large for FP64": (changed(datatype="FP64", data=[1, 10**400, 3, 4]), "too large"),
    "half a number in JSON": (changed(datatype="FP16"), "binary data"),
    "BYTES": (changed(datatype="BYTES", data=["a", "b", "c", "d"]), "expected a datatype of BOOL"),
    "BF16": (changed(datatype="BF16"), "expected a datatype of BOOL"),
    "numpy's name": (changed(datatype="float32"), "expected a datatype of BOOL"),
    "a datatype of another kind": (changed(datatype=["FP32"]), "expected a datatype of BOOL"),
    "binary data that is not there": (changed(data=None, parameters={"binary_data_size": 16}), "got 0"),
    "a negative binary size": (changed(data=None, parameters={"binary_data_size": -16}), "from 0"),
    "a binary size that is true": (changed(data=None, parameters={"binary_data_size": True}), "from 0"),
    "a binary size of another kind": (changed(data=None, parameters={"binary_data_size": "16"}), "from 0"),
    "both forms": (changed(parameters={"binary_data_size": 16}), "got both"),
    "shared memory": (changed(parameters={"shared_memory_region": "r"}), "extension"),
    "a sequence": (body(X, parameters={"sequence_id": 3}), "extension"),
    "a classification": (body(X, outputs=[{"name": "y", "parameters": {"classification": 3}}]), "extension"),
    "parameters of another kind": (body(X, parameters=[1]), "`parameters`"),
    "an id of another kind": (body(X, id=42), "`id`"),
    "an id too long": (body(X, id="x" * 257), "`id`"),
    "a wait of another kind": (body(X, parameters={"timeout": "1s"}), "microseconds"),
    "a negative wait": (body(X, parameters={"timeout": -1}), "microseconds"),
    "a wait that is true": (body(X, parameters={"timeout": True}), "microseconds"),
    "a wait that is false": (body(X, parameters={"timeout": False}), "microseconds"),
    "a wait too long": (body(X, parameters={"timeout": 10**18}), "microseconds"),
    "outputs of another kind": (body(X, outputs="y"), "`outputs`"),
    "an output without a name": (body(X, outputs=[{}]), "`name`"),
    "an output twice": (body(X, outputs=[{"name": "y"}, {"name": "y"}]), "twice"),
    "binary_data of another kind": (body(X, parameters={"binary_data_output": 1}), "true or false"),
    "a name to be escaped": (changed(name="x\n\x1b[31m\u202e", data=1), "\\n"),
    "a long name": (changed(name="x" * 10_000, data=1), "..."),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_body_is_refused_with_a_reason(what: str) -> None:
    data, said = HOSTILE[what]
    assert said in refused(data)


def binary(size: object, datatype: str = "INT32", shape: tuple[int, ...] = (2, 2)) -> bytes:
    return body({"name": "x", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}})


@pytest.mark.parametrize(
    ("head", "data", "said"),
    [
        (binary(16), b"\0" * 15, "expected 16 bytes of binary data in the body, got 15"),
        (binary(16), b"\0" * 17, "got 17"),
        (binary(12), b"\0" * 12, "expected 16 bytes of binary data for its shape, got 12"),
        (binary(1 << 62), b"\0" * 16, "got 16"),
        (binary(16, shape=(1 << 14, 1 << 14)), b"\0" * 16, "expected 1073741824 bytes"),
        (binary(4, "BOOL"), b"\0\1\2\1", "bytes of 0 or 1"),
        (binary(16, "BYTES"), b"\0" * 16, "expected a datatype"),
    ],
    ids=["short", "long", "against the shape", "overflow", "a large shape", "no truth", "BYTES"],
)
def test_binary_data_that_lies_is_refused(head: bytes, data: bytes, said: str) -> None:
    assert said in refused(head + data, len(head))


def test_a_header_length_that_lies_is_refused() -> None:
    head = binary(16)
    whole = head + b"\0" * 16
    assert "at most" in refused(whole, len(whole) + 1)
    assert "JSON" in refused(whole, len(head) - 1)
    assert "JSON" in refused(whole, len(head) + 3)
    assert "JSON" in refused(whole, 0)
    assert "JSON" in refused(whole)


def test_json_beyond_its_bound_is_told_apart() -> None:
    with pytest.raises(TooLarge):
        parse_infer_request(body(X), None, 10)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(string.ascii_letters, max_size=6), inner),
    max_leaves=12,
)
tensors = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["x", "y", ""]) | json_values,
        "datatype": st.sampled_from([*WIRE.values(), "BYTES"]) | json_values,
        "shape": st.lists(st.integers(-2, 1 << 40), max_size=4) | json_values,
        "data": st.lists(st.integers(0, 3), max_size=6) | json_values,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(-8, 64) | json_values}),
    },
)
documents = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=3) | json_values},
    optional={"id": json_values, "parameters": json_values, "outputs": st.lists(tensors, max_size=3) | json_values},
)


@settings(max_examples=300, deadline=None)
@given(documents, st.binary(max_size=40), st.integers(-3, 3) | st.integers(0, 1 << 40))
def test_whatever_comes_is_parsed_or_refused(document: Any, data: bytes, shift: int) -> None:
    head = json.dumps(document).encode()
    for header_length in (None, max(0, len(head) + shift)):
        try:
            found = parse(head + data, header_length)
        except BadRequest as error:
            assert str(error).isascii()
        else:
            assert all(array.dtype.isnative for array in found.arrays.values())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.none() | st.integers(0, 220))
@example(b"\xef\xbb\xbf{}", None)
def test_bytes_of_any_kind_are_refused(data: bytes, header_length: int | None) -> None:
    with pytest.raises(BadRequest):
        parse(data, header_length)
