"""Notifications: notices that go to people through the notification blocks that a Prefect server holds.

EDGEWRIGHT_NOTIFY names the blocks. Their addresses and tokens stay in them: no log of ours shows what a block raises,
as the errors of HTTP clients quote the address.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING

from deployments.errors import ConfigurationError
from flows.visibility.notices import Notice

if TYPE_CHECKING:
    from prefect.blocks.abstract import NotificationBlock

logger = logging.getLogger("edgewright")
NOTIFY = "EDGEWRIGHT_NOTIFY"
LONGEST_S = 20.0
"""Seconds that a notice waits for a block; what is not sent by then is given up."""


def named_blocks() -> tuple[str, ...]:
    """Return the blocks that EDGEWRIGHT_NOTIFY names, each as `TYPE/NAME`. Raises ConfigurationError."""
    names = tuple(name.strip() for name in os.environ.get(NOTIFY, "").split(",") if name.strip())
    for name in names:
        kind, _, own = name.partition("/")
        if not (kind and own) or "/" in own:
            raise ConfigurationError(
                f"{NOTIFY}: expected blocks as TYPE/NAME with commas between them, such as slack-webhook/ops, got "
                f"{name!r}; see `prefect block ls`"
            )
    return names


def check_blocks() -> None:
    """Warn of each named block that the Prefect server does not hold. Raises ConfigurationError, as named_blocks."""
    _each(named_blocks(), lambda _: None, "no notice will go there")


def notify(notice: Notice) -> None:
    """Send a notice through all named blocks beside each other; one that fails or hangs is a warning.

    Nothing is raised: what cannot be told to people changes no outcome.
    """
    try:
        names = named_blocks()
    except ConfigurationError as error:
        logger.warning("nobody is notified: %s", error)
        return

    def send(block: "NotificationBlock") -> None:
        sent = block.notify(notice.body, notice.subject)
        if asyncio.iscoroutine(sent):  # where a block has no other form
            asyncio.run(sent)

    _each(names, send, f"it did not get the notice ({notice.subject})")


def _each(names: tuple[str, ...], act: Callable[["NotificationBlock"], None], otherwise: str) -> None:
    """Load every block and act on it, each in a thread of its own for a bounded time."""
    started = [(name, *_begin(name, act)) for name in names]
    for name, thread, failed in started:
        thread.join(LONGEST_S)
        said = f"no end within {LONGEST_S:g} s" if thread.is_alive() else failed[0] if failed else ""
        if said:
            logger.warning(
                "notification block %s: expected it to be there and to answer, got %s; %s: see `prefect block inspect "
                "%s`", name, said, otherwise, name,
            )  # fmt: skip


def _begin(name: str, act: Callable[["NotificationBlock"], None]) -> tuple[threading.Thread, list[str]]:
    failed: list[str] = []

    def work() -> None:
        try:
            act(_load(name))
        except Exception as error:  # a block's own error: a wrong address, a service that is away
            failed.append(_what(error))

    # A context of its own, so that Prefect's settings hold there; a daemon, so that a block that hangs ends with us.
    thread = threading.Thread(target=copy_context().run, args=(work,), daemon=True)
    thread.start()
    return thread, failed


def _load(name: str) -> "NotificationBlock":
    import prefect.blocks.notifications  # noqa: F401 - a block is loaded as one of the types that are imported
    from prefect.blocks.abstract import NotificationBlock
    from prefect.blocks.core import Block

    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs the whole address of each request
    block = Block.load(name, _sync=True)  # type: ignore[call-arg]
    if not isinstance(block, NotificationBlock):
        raise ConfigurationError(f"a block of another kind ({type(block).__name__})")
    return block


def _what(error: Exception) -> str:
    """Return what a block raised, without its text: it may hold the block's address or token."""
    if isinstance(error, ConfigurationError):
        return str(error)
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    return type(error).__name__ if status is None else f"{type(error).__name__} (status {status})"
