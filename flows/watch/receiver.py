"""The receiver of webhooks: a signed delivery wakes the watcher; anything else gets a status code and no work."""

import logging
import time
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from flows.watch.deliveries import RegistryEvent, UnreadableDeliveryError, UnsignedDeliveryError, event_of, verified

logger = logging.getLogger("edgewright")
LARGEST_BODY = 64 * 1024
PATH = "/webhook"
Told = Callable[[RegistryEvent], Awaitable[str]]


class _TooLargeError(Exception):
    pass


def receiver(secret: str, told: Told, clock: Callable[[], float] = time.time) -> Starlette:
    """Return the application that takes deliveries at /webhook and answers /health.

    `told` does what an event asks for and returns what came of it in words; an error of it is answered with 500, so
    that MLflow tries again. A delivery that is not signed gets 401, a body that is too large 413, one that is no event
    422.
    """

    async def take(request: Request) -> Response:
        try:
            body = await _body(request)
            verified(secret, request.headers, body, clock())
            return PlainTextResponse(await told(event_of(body)), 202)
        except _TooLargeError:
            return PlainTextResponse(f"body: expected at most {LARGEST_BODY:,} bytes, got more", 413)
        except UnsignedDeliveryError as error:
            return PlainTextResponse(str(error), 401)
        except UnreadableDeliveryError as error:
            return PlainTextResponse(str(error), 422)
        except ClientDisconnect:
            return PlainTextResponse("the sender went away", 400)
        except Exception as error:  # the registry or Prefect is away: never a 4xx, so that MLflow tries again
            logger.warning("a delivery could not be acted on, MLflow sends it again: %s", type(error).__name__)
            return PlainTextResponse("expected the registry and Prefect to answer, got an error; send it again", 500)

    async def health(_: Request) -> Response:
        return PlainTextResponse("healthy")

    app = Starlette(routes=[Route(PATH, take, methods=["POST"]), Route("/health", health)])
    app.router.redirect_slashes = False  # a redirect would repeat what the client says that this host is called
    return app


async def _body(request: Request) -> bytes:
    """Read a body of a bounded size, whatever length the sender claims."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise _TooLargeError
    return bytes(body)
