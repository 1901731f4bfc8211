"""The protocol's own types against the real process: its generated client, and requests that schemathesis makes up.

The package `open-inference-openapi` holds the types of the protocol's OpenAPI document, from which the document is made
again here.
"""

from typing import Any

import numpy as np
import pytest
import requests
import schemathesis
from hypothesis import settings
from open_inference.openapi import client as generated
from open_inference.openapi import types
from pydantic.v1.schema import schema as schemas_of
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.edge_runtime.models import weights
from tests.edge_runtime.server.served_process import LONGEST_S, ServedProcess

ROWS = np.random.default_rng(5).standard_normal((2, 8), dtype=np.float32)
VERSION = "/v2/models/{model}/versions/{version}"
SUCCESSES = {
    "/v2/health/live": None,
    "/v2/health/ready": None,
    "/v2": types.MetadataServerResponse,
    VERSION: types.MetadataModelResponse,
    f"{VERSION}/ready": None,
    f"{VERSION}/infer": types.InferenceResponse,
    "/v2/models/{model}/infer": types.InferenceResponse,
}


def content(kind: type) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}


def operation(path: str, kind: type | None) -> dict[str, Any]:
    failed = {"description": "failed", "content": content(types.InferenceErrorResponse)}
    succeeded = {"description": "OK"} if kind is None else {"description": "OK", "content": content(kind)}
    statuses = ("400", "413", "504") if path.endswith("infer") else ()
    made: dict[str, Any] = {"responses": {"200": succeeded, **dict.fromkeys(("404", "405", "503", *statuses), failed)}}
    made["parameters"] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": [value, "other"]}}
        for name, value in (("model", "defects"), ("version", "3"))
        if f"{{{name}}}" in path
    ]
    if path.endswith("infer"):
        made["requestBody"] = {"required": True, "content": content(types.InferenceRequest)}
    return {"post" if path.endswith("infer") else "get": made}


def document() -> dict[str, Any]:
    kinds = [each for each in vars(types).values() if isinstance(each, type) and hasattr(each, "__fields__")]
    schemas = schemas_of(kinds, ref_prefix="#/components/schemas/")["definitions"]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Open Inference Protocol", "version": "2"},
        "paths": {path: operation(path, kind) for path, kind in SUCCESSES.items()},
        "components": {"schemas": schemas},
    }


PROTOCOL = schemathesis.openapi.from_dict(document())


@PROTOCOL.parametrize()
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_server_keeps_to_the_protocol(case: Any, defects: ServedProcess) -> None:
    response = case.call(base_url=f"http://{defects.address}", timeout=LONGEST_S)
    assert response.status_code != 500
    # A made-up request names inputs that no model has, so a valid one may be refused.
    case.validate_response(response, excluded_checks=[positive_data_acceptance])


def test_the_document_is_the_protocols() -> None:
    schemas = document()["components"]["schemas"]
    assert schemas["InferenceRequest"]["required"] == ["inputs"]
    assert set(schemas["ResponseOutput"]["required"]) == {"name", "shape", "datatype", "data"}


@pytest.fixture
def client(defects: ServedProcess) -> generated.OpenInferenceClient:
    return generated.OpenInferenceClient(base_url=f"http://{defects.address}")


def test_the_generated_client_reads_everything(client: generated.OpenInferenceClient) -> None:
    client.check_server_liveness()
    client.check_server_readiness()
    client.check_model_readiness("defects")
    client.check_model_version_readiness("defects", "3")
    assert client.read_server_metadata().name == "edgewright"
    told = client.read_model_metadata("defects")
    assert [(each.name, each.datatype, each.shape) for each in told.inputs or ()] == [("x", "FP32", [-1, 8])]


def test_the_generated_client_is_answered(client: generated.OpenInferenceClient) -> None:
    data = types.TensorData.parse_obj(ROWS.tolist())
    sent = types.RequestInput(name="x", shape=list(ROWS.shape), datatype="FP32", data=data, parameters=None)
    request = types.InferenceRequest(id="9", inputs=[sent], parameters=None, outputs=None)
    answer = client.model_infer("defects", request=request)
    (output,) = answer.outputs
    assert (answer.id, answer.model_version, output.name, output.shape) == ("9", "3", "y", [2, 3])
    values = np.array(output.data.dict()["__root__"]).reshape(2, 3)
    np.testing.assert_allclose(values, ROWS @ weights(8, 3), rtol=1e-4, atol=1e-5)


def test_the_judge_notices_what_is_not_the_protocols(defects: ServedProcess) -> None:
    operation = PROTOCOL["/v2"]["GET"]
    response = requests.get(f"http://{defects.address}/v2/health/live", timeout=LONGEST_S)
    with pytest.raises(schemathesis.errors.FailureGroup):
        operation.Case().validate_response(response)
