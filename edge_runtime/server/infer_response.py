"""Responses with answers: JSON, followed by binary data for the outputs that a client wants so."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime.server.datatypes import datatype_of, shown
from edge_runtime.server.infer_request import InferRequest
from edge_runtime.server.tensor_values import to_binary, to_json


@dataclass(frozen=True)
class EncodedAnswer:
    """The body of a response; `header_length` bytes of it are JSON where binary data follow, else it is None."""

    body: bytes
    header_length: int | None


def encode_answer(request: InferRequest, answers: Mapping[str, np.ndarray], model: str, version: str) -> EncodedAnswer:
    """Encode the answers to a request, outputs in the order of `answers`.

    Raises BadRequest where the client wants an output as JSON that has no form there.
    """
    outputs, binary = list[dict[str, Any]](), list[bytes]()
    for name, array in answers.items():
        described = {"name": name, "datatype": datatype_of(array.dtype.name), "shape": list(array.shape)}
        if request.is_binary(name):
            binary.append(to_binary(array))
            outputs.append({**described, "parameters": {"binary_data_size": len(binary[-1])}})
        else:
            outputs.append({**described, "data": to_json(array, f"The output {shown(name)}")})
    told = {} if request.id is None else {"id": request.id}
    document = {"model_name": model, "model_version": version, **told, "outputs": outputs}
    head = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    return EncodedAnswer(b"".join((head, *binary)), len(head) if binary else None)
