"""Answering one request for an inference: from the bytes of its body to those of the response.

The work ends where the client goes away. Long work on bytes leaves the event loop free, one such piece at a time.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive

from edge_runtime.errors import BadRequest, DeadlineExceeded, ModelNotServed, Overloaded
from edge_runtime.server.content_coding import WORTH_BYTES, accepted_coding, deflated, inflated, known_coding
from edge_runtime.server.datatypes import shown
from edge_runtime.server.infer_request import LONGEST_S, InferRequest, parse_infer_request
from edge_runtime.server.infer_response import EncodedAnswer, encode_answer
from edge_runtime.server.request_bodies import BodyBounds, ReceivedBody
from edge_runtime.serving import ModelDescription, ServedModels

T = TypeVar("T")
HEADER_LENGTH = "Inference-Header-Content-Length"
TIMEOUT = "Request-Timeout"
LONG_BYTES = 256 << 10
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")


class InferenceEndpoint:
    """The endpoint for inferences: answers to requests by the models of this process."""

    def __init__(self, models: ServedModels, bodies: BodyBounds) -> None:
        self._models, self._bodies = models, bodies
        # One thread: what is given up while it runs keeps no second one busy, nor more memory.
        self._long_work = ThreadPoolExecutor(1, "edgewright-bodies")

    async def answer(self, request: Request, body: ReceivedBody) -> Response:
        """Answer a request. Raises ServingError, and ClientDisconnect where nobody waits for the response any more."""
        begun = time.monotonic()
        served(self._models, request.path_params)
        headers = dict(request.headers.items())
        coding, waits_s = known_coding(headers.get("content-encoding")), _timeout(headers.get(TIMEOUT.lower()))
        header_length = _header_length(headers.get(HEADER_LENGTH.lower()))
        content = await body.read(request.receive, headers.get("content-length"))
        with _gone(request.receive) as gone:
            try:
                asked = await self._parsed(body, content, coding, header_length)
                deadline_s = _left(waits_s, asked.timeout_s, time.monotonic() - begun)
                described = served(self._models, request.path_params)  # the version that takes the request on: no await
                arrays = await self._models.answer(
                    described.name, asked.arrays, deadline_s=deadline_s, outputs=asked.output_names
                )
                made = await self._away(
                    sum(array.nbytes for array in arrays.values()),
                    lambda: encode_answer(asked, arrays, described.name, described.version),
                )
                return await self._response(made, accepted_coding(headers.get("accept-encoding")))
            except asyncio.CancelledError as error:
                if gone():
                    raise ClientDisconnect from error
                raise

    async def _parsed(
        self, body: ReceivedBody, content: bytes | bytearray, coding: str | None, header_length: int | None
    ) -> InferRequest:
        limits = self._bodies.limits
        if coding is not None:
            packed, known = content, coding
            content = await self._away(limits.body, lambda: inflated(packed, known, limits.body))
            body.hold(len(content))
        whole = content
        long = len(whole) if header_length is None else header_length
        return await self._away(long, lambda: parse_infer_request(whole, header_length, limits.json))

    async def _response(self, made: EncodedAnswer, coding: str | None) -> Response:
        headers = {} if made.header_length is None else {HEADER_LENGTH: str(made.header_length)}
        content = made.body
        if coding is not None and len(content) >= WORTH_BYTES:
            content = await self._away(len(content), lambda: deflated(made.body, coding))
            headers["Content-Encoding"] = coding
        kind = "application/json" if made.header_length is None else "application/octet-stream"
        return Response(content, headers={**headers, "Vary": "Accept-Encoding"}, media_type=kind)

    async def _away(self, size: int, work: Callable[[], T]) -> T:
        """Do a piece of work on so many bytes, in a thread where it is long."""
        if size < LONG_BYTES:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._long_work, work)


def served(models: ServedModels, named: Mapping[str, str]) -> ModelDescription:
    """Describe the model of a path.

    Raises ModelNotServed for one that is not there and for another version, and Overloaded for one that is not ready.
    """
    name = named["model"]
    if not models.is_ready(name) and name in models.names():
        raise Overloaded(f"The model {shown(name)} is not ready; try again.")
    described = models.description(name)
    version = named.get("version", described.version)
    if version != described.version:
        raise ModelNotServed(
            f"The model {described.name} is served in version {shown(described.version)}, not in {shown(version)}."
        )
    return described


class _gone:  # noqa: N801 - it reads as a phrase
    """Cancels the task that enters it when the client goes away, and then says so."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_gone = False

    def __enter__(self) -> Callable[[], bool]:
        self._task = asyncio.current_task()
        self._watch = asyncio.create_task(self._wait())
        return lambda: self._is_gone

    def __exit__(self, *_error: object) -> None:
        self._watch.cancel()

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._is_gone = True
        if self._task is not None:
            self._task.cancel()


def _header_length(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise BadRequest(f"{HEADER_LENGTH}: expected a number of bytes, got {shown(text)}.")
    return int(text)


def _timeout(text: str | None) -> float | None:
    if text is None:
        return None
    if not _SECONDS.fullmatch(text) or not 0 < float(text) <= LONGEST_S:
        raise BadRequest(f"{TIMEOUT}: expected seconds such as 0.25, at most {LONGEST_S:g}, got {shown(text)}.")
    return float(text)


def _left(header_s: float | None, parameter_s: float | None, spent_s: float) -> float | None:
    """Return the seconds that are left of the shorter of two waits. Raises DeadlineExceeded where none are."""
    waits = [each for each in (header_s, parameter_s) if each is not None]
    if not waits:
        return None
    if min(waits) <= spent_s:
        raise DeadlineExceeded(f"The request arrived after its deadline of {min(waits):g} s.")
    return min(waits) - spent_s
