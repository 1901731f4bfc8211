"""The Open Inference Protocol, version 2, over HTTP as an ASGI application: its paths, its errors, and metrics."""

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

import edge_runtime
from edge_runtime.errors import (
    BadRequest,
    ClientTooSlow,
    DeadlineExceeded,
    ModelNotServed,
    Overloaded,
    ServingError,
    TooLarge,
    UnknownCoding,
)
from edge_runtime.server.answering import InferenceEndpoint, served
from edge_runtime.server.datatypes import datatype_of
from edge_runtime.server.exposition import CONTENT_TYPE
from edge_runtime.server.limits import ServerLimits
from edge_runtime.server.request_bodies import BodyBounds
from edge_runtime.server.server_metrics import ServerMetrics
from edge_runtime.serving import ServedModels
from edge_runtime.settings import TensorSpec

logger = logging.getLogger("edgewright.server")
PLATFORM = "onnxruntime_onnx"
CLIENT_GONE = 499
LONGEST_ERROR = 1000  # characters: a message may quote what a client sent
_METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT")
_STATUS: Mapping[type[ServingError], int] = {
    ClientTooSlow: 408,
    TooLarge: 413,
    UnknownCoding: 415,
    BadRequest: 400,
    ModelNotServed: 404,
    Overloaded: 503,
    DeadlineExceeded: 504,
    ServingError: 500,
}


class InferenceApplication:
    """The whole server but its sockets. `accepting` is set to False before the end: it is not ready any more then."""

    def __init__(self, models: ServedModels, limits: ServerLimits, *, log_requests: bool = False) -> None:
        self.metrics = ServerMetrics()
        self.accepting = True
        self._models, self._log_requests = models, log_requests
        self._bodies = BodyBounds(limits)
        self._endpoint = InferenceEndpoint(models, self._bodies)
        self._app = Starlette(
            routes=self._routes(), exception_handlers={HTTPException: _of_http, Exception: _of_a_mistake}
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, count it, and log it where that was asked for or something failed."""
        begun, status = time.perf_counter(), 500

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self.metrics.in_progress += 1
        try:
            await self._app(scope, receive, sent)
        finally:
            self.metrics.in_progress -= 1
            self._end(scope, status, time.perf_counter() - begun)

    def is_ready(self) -> bool:
        """Tell whether every model answers and the server is not about to end."""
        return self.accepting and all(map(self._models.is_ready, self._models.names()))

    def _end(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("route")
        handler = route.name if isinstance(route, Route) else "none"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self.metrics.count(handler, method, status, seconds)
        if not self._log_requests and status != 500:
            return
        told = {"handler": handler, "method": method, "status": status, "seconds": round(seconds, 6)}
        told |= {name: text[:256] for name, text in scope.get("path_params", {}).items()}
        logger.log(logging.ERROR if status == 500 else logging.INFO, "request", extra={"told": told})

    def _routes(self) -> list[Route]:
        model, version = "/v2/models/{model}", "/versions/{version}"
        paths = (model, model + version)
        return [
            *(Route(f"{path}/infer", self._infer, methods=["POST"], name="model_infer") for path in paths),
            *(Route(f"{path}/ready", self._model_ready, name="model_ready") for path in paths),
            *(Route(path, self._model_metadata, name="model_metadata") for path in paths),
            Route("/v2", self._metadata, name="server_metadata"),
            Route("/v2/", self._metadata, name="server_metadata"),
            Route("/v2/health/live", self._live, name="server_live"),
            Route("/v2/health/ready", self._ready, name="server_ready"),
            Route("/metrics", self._metrics, name="metrics"),
        ]

    async def _live(self, _request: Request) -> Response:
        return JSONResponse({"live": True})

    async def _ready(self, _request: Request) -> Response:
        ready = self.is_ready()
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    async def _metadata(self, _request: Request) -> Response:
        version = edge_runtime.__version__
        return JSONResponse({"name": "edgewright", "version": version, "extensions": ["binary_tensor_data"]})

    async def _metrics(self, _request: Request) -> Response:
        return Response(self.metrics.text(self._models), headers={"Content-Type": CONTENT_TYPE})

    async def _model_ready(self, request: Request) -> Response:
        try:
            return JSONResponse({"name": served(self._models, request.path_params).name, "ready": True})
        except ServingError as error:
            return _of_serving(error)

    async def _model_metadata(self, request: Request) -> Response:
        try:
            described = served(self._models, request.path_params)
        except ServingError as error:
            return _of_serving(error)
        return JSONResponse(
            {
                "name": described.name,
                "versions": [described.version],
                "platform": PLATFORM,
                "inputs": list(map(_tensor, described.inputs)),
                "outputs": list(map(_tensor, described.outputs)),
                "properties": {"release": described.release, "digest": described.digest},
            }
        )

    async def _infer(self, request: Request) -> Response:
        with self._bodies.one() as body:
            try:
                return await self._endpoint.answer(request, body)
            except ServingError as error:
                response = _of_serving(error)
            except ClientDisconnect:
                return Response(status_code=CLIENT_GONE)
            except asyncio.CancelledError:
                if self.accepting:
                    raise
                response = error_response("The server ends, and the time for its last answers is over.", 503)
            if not body.complete:  # what else comes would be read for nothing
                response.headers["Connection"] = "close"
            return response


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    shape = [-1 if size is None else size for size in spec.shape]
    return {"name": spec.name, "datatype": datatype_of(spec.dtype), "shape": shape}


def error_response(message: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with the protocol's object for errors."""
    return JSONResponse({"error": message[:LONGEST_ERROR]}, status, headers)


def _of_serving(error: ServingError) -> Response:
    status = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
    headers = {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))} if isinstance(error, Overloaded) else None
    return error_response(str(error), status, headers)


async def _of_http(_request: Request, error: Exception) -> Response:
    told = error if isinstance(error, HTTPException) else HTTPException(500)
    return error_response(told.detail, told.status_code, told.headers)


async def _of_a_mistake(_request: Request, _error: Exception) -> Response:
    return error_response("The server failed at this request; its log says why.", 500)
