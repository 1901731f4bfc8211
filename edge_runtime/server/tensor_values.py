"""Values of a tensor: arrays out of JSON or of binary data, each value checked, and back."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from edge_runtime.errors import BadRequest
from edge_runtime.server.datatypes import ONLY_BINARY, datatype_of, dtype_of, shown
from edge_runtime.settings import MAX_ELEMENTS, MAX_RANK

_TYPES: Mapping[str, set[type]] = {"b": {bool}, "i": {int}, "u": {int}, "f": {int, float}}
"""Python's types of JSON values by numpy's kinds of dtypes."""


def check_shape(shape: object, what: str) -> tuple[int, ...]:
    """Return a shape that an array can have. Raises BadRequest."""
    if not isinstance(shape, list) or len(shape) > MAX_RANK or not all(type(size) is int for size in shape):
        raise BadRequest(f"{what}: expected a shape of at most {MAX_RANK} whole numbers, got another.")
    if any(not 0 <= size <= MAX_ELEMENTS for size in shape) or math.prod(max(size, 1) for size in shape) > MAX_ELEMENTS:
        raise BadRequest(f"{what}: expected a shape of sizes from 0 with at most {MAX_ELEMENTS} elements, got another.")
    return tuple(shape)


def of_binary(data: memoryview, datatype: object, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Return an array over little-endian bytes without a copy, unless they lie at an odd address. Raises BadRequest."""
    dtype = dtype_of(datatype, what)
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise BadRequest(f"{what}: expected {expected} bytes of binary data for its shape, got {len(data)}.")
    if dtype == np.bool_:
        flags = np.frombuffer(data, np.uint8)
        if flags.size and flags.max() > 1:
            raise BadRequest(f"{what}: expected bytes of 0 or 1 for BOOL, got {flags.max()}.")
    array = np.frombuffer(data, dtype).reshape(shape)
    native = dtype.newbyteorder("=")
    return array if array.flags.aligned and dtype == native else array.astype(native)


def of_json(data: object, datatype: object, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Return an array of a JSON array, flat in row-major order or nested as the shape says. Raises BadRequest."""
    dtype = dtype_of(datatype, what).newbyteorder("=")
    if datatype == ONLY_BINARY:
        raise BadRequest(f"{what}: expected binary data for {ONLY_BINARY}, which has no form in JSON, got `data`.")
    if not isinstance(data, list):
        raise BadRequest(f"{what}: expected an array as `data`, got {shown(data)}.")
    values = _unnested(data, shape, what) if data and isinstance(data[0], list) else data
    if len(values) != math.prod(shape):
        raise BadRequest(f"{what}: expected {math.prod(shape)} values for its shape, got {len(values)}.")
    _check_values(values, dtype, str(datatype), what)
    try:
        with np.errstate(over="ignore"):  # what is infinite is refused below
            array = np.array(values, dtype).reshape(shape)
    except OverflowError as error:
        raise BadRequest(f"{what}: expected values of {datatype}, got one that is too large.") from error
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise BadRequest(f"{what}: expected values of {datatype}, got one that is too large.")
    return array


def to_json(array: np.ndarray, what: str) -> list[Any]:
    """Return the values of an array, flat in row-major order. Raises BadRequest where JSON has no form for them."""
    if array.dtype == np.float16:
        raise BadRequest(
            f"{what}: it is of {ONLY_BINARY}, which has no form in JSON; ask for it with the parameter binary_data."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadRequest(
            f"{what}: the answer has values that are no finite numbers, which have no form in JSON; ask for it with "
            "the parameter binary_data."
        )
    return list(array.ravel().tolist())


def to_binary(array: np.ndarray) -> bytes:
    """Return the values of an array as little-endian bytes in row-major order."""
    return array.astype(dtype_of(datatype_of(array.dtype.name), ""), copy=False).tobytes()


def _unnested(data: list[Any], shape: Sequence[int], what: str) -> list[Any]:
    level: list[Any] = [data]
    for size in shape:
        if not all(type(each) is list and len(each) == size for each in level):
            raise BadRequest(f"{what}: expected `data` that is flat or nested as its shape says, got another.")
        level = list(chain.from_iterable(level))
    return level


def _check_values(values: Iterable[Any], dtype: np.dtype, datatype: str, what: str) -> None:
    odd = set(map(type, values)) - _TYPES[dtype.kind]
    if odd:
        raise BadRequest(f"{what}: expected values of {datatype}, got {_of_json(odd.pop())}.")
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        if min(values, default=0) < bounds.min or max(values, default=0) > bounds.max:
            raise BadRequest(f"{what}: expected values of {datatype}, {bounds.min} to {bounds.max}, got another.")


def _of_json(kind: type) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number with a fraction or an exponent",
             str: "a text", list: "an array", dict: "an object"}  # fmt: skip
    return names.get(kind, "null")
