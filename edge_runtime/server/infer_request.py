"""Requests for an inference: the bytes of a body become arrays and wishes, or a BadRequest that says what is wrong."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from edge_runtime.errors import BadRequest, TooLarge
from edge_runtime.server.datatypes import shown
from edge_runtime.server.tensor_values import check_shape, of_binary, of_json

MAX_ID = 256
MAX_TENSORS = 256
LONGEST_S = 3600.0
_MICROSECONDS = 1e6
_UNSUPPORTED = ("sequence_id", "sequence_start", "sequence_end", "classification", "shared_memory_region")


@dataclass(frozen=True)
class RequestedOutput:
    """An output that a client wants; `binary` where it said how."""

    name: str
    binary: bool | None = None


@dataclass(frozen=True)
class InferRequest:
    """A request for an inference. `id` is None where the client gave none; no `outputs` are all of them.

    `timeout_s` are the seconds that the client waits at most, by the parameter `timeout` in microseconds; None where it
    said nothing. `binary` is how outputs come that were not named.
    """

    arrays: Mapping[str, np.ndarray]
    outputs: tuple[RequestedOutput, ...] = ()
    id: str | None = None
    timeout_s: float | None = None
    binary: bool = False

    @property
    def output_names(self) -> list[str] | None:
        """Names of the outputs that the client wants, None for all."""
        return [output.name for output in self.outputs] or None

    def is_binary(self, output: str) -> bool:
        """Tell whether an output is to come as binary data."""
        asked = next((each.binary for each in self.outputs if each.name == output), None)
        return self.binary if asked is None else asked


def parse_infer_request(body: bytes | bytearray, header_length: int | None, most_json: int) -> InferRequest:
    """Parse the body of a request: JSON of `header_length` bytes and then binary data, or JSON alone where it is None.

    Raises BadRequest, and TooLarge for JSON of more than `most_json` bytes.
    """
    length = len(body) if header_length is None else header_length
    if length > len(body):
        raise BadRequest(
            f"Inference-Header-Content-Length: expected at most the {len(body)} bytes of the body, got {length}."
        )
    if length > most_json:
        raise TooLarge(f"The body: expected JSON of at most {most_json} bytes, got {length}; send binary data.")
    content = memoryview(body)
    document = _parse_json(content[:length])
    if not isinstance(document, dict):
        raise BadRequest("The body: expected a JSON object with `inputs`, got another value.")
    parameters = _parameters(document, "The request")
    return InferRequest(
        arrays=_arrays(document, content[length:]),
        outputs=_outputs(document),
        id=_id(document),
        timeout_s=_timeout(parameters),
        binary=_truth(parameters, "binary_data_output", "The request") or False,
    )


def _arrays(document: Mapping[str, Any], binary: memoryview) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    at = 0
    for tensor, name, what in _tensors(document.get("inputs"), "input"):
        if name in arrays:
            raise BadRequest(f"{what}: expected each input once, got it twice.")
        shape, size = check_shape(tensor.get("shape"), what), _binary_size(tensor, what)
        if size is None:
            arrays[name] = of_json(tensor.get("data"), tensor.get("datatype"), shape, what)
            continue
        if size > len(binary) - at:
            raise BadRequest(f"{what}: expected {size} bytes of binary data in the body, got {len(binary) - at}.")
        arrays[name] = of_binary(binary[at : at + size], tensor.get("datatype"), shape, what)
        at += size
    if at != len(binary):
        raise BadRequest(
            f"The body: expected {at} bytes of binary data after the JSON, as `binary_data_size` of the inputs says, "
            f"got {len(binary)}; see Inference-Header-Content-Length."
        )
    return arrays


def _binary_size(tensor: Mapping[str, Any], what: str) -> int | None:
    size = _parameters(tensor, what).get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise BadRequest(f"{what}: expected binary_data_size as a whole number from 0, got {shown(size)}.")
    if tensor.get("data") is not None:
        raise BadRequest(f"{what}: expected either `data` or binary data, got both.")
    return size


def _outputs(document: Mapping[str, Any]) -> tuple[RequestedOutput, ...]:
    if document.get("outputs") is None:
        return ()
    outputs: dict[str, RequestedOutput] = {}
    for output, name, what in _tensors(document["outputs"], "output"):
        if name in outputs:
            raise BadRequest(f"{what}: expected each output once, got it twice.")
        outputs[name] = RequestedOutput(name, _truth(_parameters(output, what), "binary_data", what))
    return tuple(outputs.values())


def _tensors(found: object, kind: str) -> list[tuple[dict[str, Any], str, str]]:
    """Return each tensor of a list with its name, and with words for messages about it."""
    if not isinstance(found, list) or len(found) > MAX_TENSORS:
        raise BadRequest(f"The request: expected `{kind}s` as an array of at most {MAX_TENSORS} objects, got another.")
    tensors = []
    for tensor in found:
        name = tensor.get("name") if isinstance(tensor, dict) else None
        if not isinstance(name, str) or not name:
            raise BadRequest(f"The request: expected objects with a `name` in `{kind}s`, got another.")
        tensors.append((tensor, name, f"The {kind} {shown(name)}"))
    return tensors


def _parameters(owner: Mapping[str, Any], what: str) -> dict[str, Any]:
    parameters = owner.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise BadRequest(f"{what}: expected `parameters` as an object, got {shown(parameters)}.")
    for name in _UNSUPPORTED:
        if parameters.get(name):
            raise BadRequest(f"{what}: the parameter {name} is of an extension that this server does not have.")
    return parameters


def _truth(parameters: Mapping[str, Any], name: str, what: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and type(value) is not bool:
        raise BadRequest(f"{what}: expected the parameter {name} as true or false, got {shown(value)}.")
    return value


def _timeout(parameters: Mapping[str, Any]) -> float | None:
    """Return the parameter `timeout` in seconds; 0 is none, as it is for Triton."""
    value = parameters.get("timeout")
    if value is None or (type(value) is int and value == 0):
        return None
    if type(value) is not int or not 0 < value <= LONGEST_S * _MICROSECONDS:
        raise BadRequest(
            f"The request: expected the parameter timeout as microseconds, at most {LONGEST_S * _MICROSECONDS:.0f}, "
            f"got {shown(value)}."
        )
    return value / _MICROSECONDS


def _id(document: Mapping[str, Any]) -> str | None:
    value = document.get("id")
    if value is not None and (not isinstance(value, str) or len(value) > MAX_ID):
        raise BadRequest(f"The request: expected `id` as a text of at most {MAX_ID} characters, got {shown(value)}.")
    return value


def _parse_json(data: bytes | bytearray | memoryview) -> Any:
    """Return the value of a JSON text: UTF-8, no NaN, no name twice; a number too large for its type is infinite."""
    try:
        return json.loads(str(data, "utf-8"), parse_constant=_refuse, object_pairs_hook=_object)
    except BadRequest:
        raise
    except RecursionError as error:
        raise BadRequest("The body: expected JSON with few levels, got too many inside each other.") from error
    except ValueError as error:  # json's own, bytes that are no UTF-8, and integers of too many digits
        at = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise BadRequest(f"The body: expected a JSON text in UTF-8, got something else{at}.") from error


def _refuse(constant: str) -> NoReturn:
    raise BadRequest(f"The body: expected numbers, got {constant}, which is no JSON; send such values as binary data.")


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadRequest("The body: expected each name of an object once, got one twice.")
    return found
