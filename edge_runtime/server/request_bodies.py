"""Bodies of requests: received within bounds of size and time, of each one and of all together."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from edge_runtime.errors import ClientTooSlow, Overloaded, TooLarge
from edge_runtime.server.limits import ServerLimits


class ReceivedBody:
    """A body that is being received; `complete` once nothing more of it is on its way."""

    def __init__(self, bodies: "BodyBounds") -> None:
        self._bodies = bodies
        self.complete = False
        self.held = 0

    async def read(self, receive: Receive, declared: str | None) -> bytearray:
        """Receive it; `declared` is its Content-Length, None where it comes in chunks.

        Raises TooLarge, ClientTooSlow, Overloaded, and ClientDisconnect.
        """
        limits = self._bodies.limits
        if declared is not None and (len(declared) > 15 or int(declared) > limits.body):
            raise TooLarge(f"The body: expected at most {limits.body} bytes, got more by its Content-Length.")
        try:
            async with asyncio.timeout(limits.body_s):
                return await self._receive(receive, limits.body)
        except TimeoutError as error:
            raise ClientTooSlow(f"The body: expected all of it within {limits.body_s:g} s, got a part.") from error

    async def _receive(self, receive: Receive, most: int) -> bytearray:
        content = bytearray()
        while not self.complete:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk = message.get("body", b"")
            if len(content) + len(chunk) > most:
                raise TooLarge(f"The body: expected at most {most} bytes, got more.")
            self.hold(len(chunk))
            content += chunk
            self.complete = not message.get("more_body", False)
        return content

    def hold(self, size: int) -> None:
        """Count bytes that this request keeps until its end. Raises Overloaded."""
        if self._bodies.held + size > self._bodies.limits.bodies:
            raise Overloaded("The server has no room for another body at the moment; try again.")
        self._bodies.held += size
        self.held += size


class BodyBounds:
    """Bounds of all bodies together; `held` bytes of them are in memory now."""

    def __init__(self, limits: ServerLimits) -> None:
        self.limits = limits
        self.held = 0

    @contextmanager
    def one(self) -> Iterator[ReceivedBody]:
        """Yield a body that is to be received; its bytes are given back at the end."""
        body = ReceivedBody(self)
        try:
            yield body
        finally:
            self.held -= body.held
