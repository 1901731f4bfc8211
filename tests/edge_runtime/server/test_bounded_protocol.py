"""Connections of clients that are slow, greedy, gone or hostile, over real sockets."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from edge_runtime.server import ServerLimits
from edge_runtime.server.bounded_protocol import MOST_AHEAD
from tests.edge_runtime.server.running_server import PAIRED, READY, Running, echo, post, running_server


def with_server(work: Callable[[Running], Awaitable[None]], limits: ServerLimits | None = None) -> None:
    async def run() -> None:
        async with running_server(limits) as server:
            await work(server)

    asyncio.run(run())


@pytest.mark.parametrize("sent", [b"", b"GET /v2 HT", b"GET /v2 HTTP/1.1\r\nHost: dev"])
def test_a_head_that_does_not_come_closes_the_connection(sent: bytes) -> None:
    async def work(server: Running) -> None:
        client = await server.connect()
        await client.send(sent)
        assert await client.is_closed()
        await server.connections_gone()

    with_server(work, ServerLimits(head_s=0.1))


def test_the_next_head_is_waited_for_as_long_and_not_longer() -> None:
    async def work(server: Running) -> None:
        client = await server.connect()
        assert (await client.asked(READY)).status == 200
        await client.send(READY[:20])
        assert await client.is_closed()

    with_server(work, ServerLimits(head_s=0.1, idle_s=600))


def test_a_client_that_is_answered_slowly_is_not_cut_off() -> None:
    async def work(server: Running) -> None:
        server.models.gate = asyncio.Event()
        client, other = await server.connect(), await server.connect()
        await client.send(post(PAIRED))
        await server.models.entered.wait()
        assert await other.is_closed()  # which waited longer than a head may take
        server.models.gate.set()
        assert (await client.reply()).status == 200

    with_server(work, ServerLimits(head_s=0.1))


def test_a_head_that_is_too_large_is_refused() -> None:
    async def work(server: Running) -> None:
        client = await server.connect()
        reply = await client.asked(b"GET /v2 HTTP/1.1\r\nHost: device\r\nX-Large: " + b"x" * 20_000)
        assert reply.status == 400 and reply.error
        assert await client.is_closed()

    with_server(work)


@pytest.mark.parametrize("part", [b"X-%d: a\r\n", b"x%d"], ids=["headers", "one header"])
def test_a_head_without_end_is_refused_when_it_is_too_large(part: bytes) -> None:
    async def work(server: Running) -> None:
        client = await server.connect()
        await client.send(READY[:-2] + b"X-Large: ")
        for number in range(4000):
            await client.send(part % number)
        reply = await client.reply()
        assert reply.status == 400 and "16384" in reply.error
        assert await client.is_closed()

    with_server(work)


@pytest.mark.parametrize("path", [b"POST /v2/models/pair/infer", b"GET /v2/health/ready"], ids=["read", "not read"])
def test_headers_behind_a_body_that_do_not_end_are_refused_when_they_are_too_large(path: bytes) -> None:
    async def work(server: Running) -> None:
        client = await server.connect()
        await client.send(path + b" HTTP/1.1\r\nHost: device\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Large: ")
        with pytest.raises(ConnectionError):  # it is refused long before all of this was taken
            for _ in range(1000):
                await client.send(b"x" * 65_536)

    with_server(work, ServerLimits(body_s=600.0, head_s=600.0))


def test_chunks_whose_size_comes_apart_from_them_are_no_head() -> None:
    head = b"POST /v2/models/pair/infer HTTP/1.1\r\nHost: device\r\nTransfer-Encoding: chunked\r\n\r\n"
    blank = b"%x\r\n%s\r\n" % (60_000, b" " * 60_000)

    async def work(server: Running) -> None:
        client = await server.connect()
        for part in (head + blank + b"%x\r\n" % len(PAIRED), PAIRED + b"\r\n0\r\n", b"X-Sum: 1\r\n\r\n" + READY):
            await client.send(part)
        assert [(await client.reply()).status for _ in range(2)] == [200, 200]

    with_server(work)


def test_a_large_head_that_comes_in_pieces_after_another_request_is_taken() -> None:
    head = READY[:-2] + b"".join(b"X-%d: %s\r\n" % (at, b"a" * 990) for at in range(15)) + b"\r\n"

    async def work(server: Running) -> None:
        client = await server.connect()
        await client.send(READY + READY + head[:700])
        for at in range(700, len(head), 700):
            await client.send(head[at : at + 700])
        assert [(await client.reply()).status for _ in range(3)] == [200, 200, 200]

    with_server(work)


def test_a_client_may_send_so_many_requests_ahead_and_no_more() -> None:
    async def work(server: Running) -> None:
        server.models.gate = asyncio.Event()
        client = await server.connect()
        await client.send(post(PAIRED) + READY * (MOST_AHEAD + 1))
        await server.models.entered.wait()
        server.models.gate.set()
        assert [(await client.reply()).status for _ in range(1 + MOST_AHEAD)] == [200] * (1 + MOST_AHEAD)
        assert await client.is_closed()

    with_server(work)


def test_who_would_rather_speak_another_protocol_is_answered_in_this_one() -> None:
    upgrade = "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"

    async def work(server: Running) -> None:
        client = await server.connect()
        assert (await client.asked(READY[:-2] + "\r\n".join([*upgrade, "", ""]).encode())).status == 200
        await client.send(post(PAIRED, *upgrade) + READY)
        assert [(await client.reply()).status for _ in range(2)] == [200, 200]
        whole = post(PAIRED, *upgrade)
        for at in range(0, len(whole), 50):
            await client.send(whole[at : at + 50])
        assert (await client.reply()).status == 200
        chunked = b"POST /v2/models/pair/infer HTTP/1.1\r\nHost: device\r\nTransfer-Encoding: chunked\r\n"
        head = chunked + "\r\n".join([*upgrade, "", ""]).encode()
        await client.send(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(PAIRED), PAIRED) + READY)
        assert [(await client.reply()).status for _ in range(2)] == [200, 200]
        await client.send(post(b"", *upgrade) + READY)
        assert [(await client.reply()).status for _ in range(2)] == [400, 200]

    with_server(work, ServerLimits(body_s=600.0))


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\0\r\n\r\n",
        b"GET /v2\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: device\r\nContent-Length: -1\r\n\r\n",
        post(PAIRED, "Content-Length: 3"),
        b"GET /v2 HTTP/1.1\r\nHost: device\r\nHost: other\r\n\r\n",
        b"POST /v2 HTTP/1.1\r\nHost: device\r\nTransfer-Encoding: x, chunked\r\n\r\n",
        post(PAIRED, "Transfer-Encoding: chunked"),
        b"CONNECT device:443 HTTP/1.1\r\nHost: device\r\n\r\n",
        b"GET /%s HTTP/1.1\r\nHost: device\r\n\r\n" % "\u00e9".encode(),
    ],
    ids=[
        "bytes",
        "no version",
        "no host",
        "a negative length",
        "two lengths",
        "two hosts",
        "an unknown transfer",
        "a length and chunks",
        "a tunnel",
        "a path that is no ASCII",
    ],
)
def test_what_is_no_http_is_refused_in_the_form_of_the_protocol(data: bytes) -> None:
    async def work(server: Running) -> None:
        client = await server.connect()
        reply = await client.asked(data)
        assert reply.status in (400, 501) and reply.error
        assert await client.is_closed()
        assert (await (await server.connect()).asked(READY)).status == 200

    with_server(work)


def test_garbage_after_a_request_ends_the_connection_and_not_the_server() -> None:
    async def work(server: Running) -> None:
        client = await server.connect()
        await client.send(READY + b"\0garbage\r\n\r\n")
        assert (await client.reply()).status == 200
        await server.connections_gone()
        assert (await (await server.connect()).asked(READY)).status == 200

    with_server(work)


def test_a_body_that_does_not_come_is_waited_for_a_while() -> None:
    async def work(server: Running) -> None:
        client = await server.connect()
        reply = await client.asked(post(PAIRED[:10], length=len(PAIRED)))
        assert reply.status == 408 and reply.headers["connection"] == "close"
        assert await client.is_closed()

    with_server(work, ServerLimits(body_s=0.1))


def test_a_body_that_would_be_too_large_is_not_received() -> None:
    async def work(server: Running) -> None:
        for expecting in ((), ("Expect: 100-continue",)):
            client = await server.connect()
            reply = await client.asked(post(b"", *expecting, length=1 << 40))
            assert reply.status == 413 and reply.headers["connection"] == "close"
            assert await client.is_closed()

    with_server(work)


def test_who_asks_first_whether_a_body_is_wanted_is_answered() -> None:
    async def work(server: Running) -> None:
        client = await server.connect()
        assert (await client.asked(post(b"", "Expect: 100-continue", length=len(PAIRED)))).status == 100
        assert (await client.asked(PAIRED)).status == 200

    with_server(work)


def test_a_body_in_chunks_is_taken_within_its_bound() -> None:
    head = b"POST /v2/models/pair/infer HTTP/1.1\r\nHost: device\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def work(server: Running) -> None:
        client = await server.connect()
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (PAIRED[:7], PAIRED[7:]))
        assert (await client.asked(head + chunks + b"0\r\n\r\n")).status == 200
        reply = await client.asked(head + b"400\r\n" + b" " * 1024 + b"\r\n")
        assert reply.status == 413 and await client.is_closed()

    with_server(work, ServerLimits(body=1000))


def test_requests_that_come_at_once_are_answered_in_their_order() -> None:
    async def work(server: Running) -> None:
        client = await server.connect()
        await client.send(READY + post(PAIRED) + READY)
        assert [len((await client.reply()).body) > 20 for _ in range(3)] == [False, True, False]

    with_server(work)


def test_a_connection_too_many_is_turned_away() -> None:
    async def work(server: Running) -> None:
        first, second = await server.connect(), await server.connect()
        assert (await first.asked(READY)).status == (await second.asked(READY)).status == 200
        third = await server.connect()
        reply = await third.reply()
        assert reply.status == 503 and reply.error and reply.headers["retry-after"] == "1"
        assert await third.is_closed()
        assert server.application.metrics.turned_away == 1
        first.close()
        second.close()
        await server.connections_gone()
        assert (await (await server.connect()).asked(READY)).status == 200

    with_server(work, ServerLimits(connections=2))


def test_a_client_that_reads_nothing_is_cut_off() -> None:
    async def work(server: Running) -> None:
        client = await server.connect()
        await client.send(echo(20_000))
        await server.connections_gone()

    with_server(work, ServerLimits(stalled_s=0.1))


def test_a_client_that_reads_on_gets_everything() -> None:
    async def work(server: Running) -> None:
        client = await server.connect()
        reply = await client.asked(echo(20_000))
        assert reply.status == 200 and len(reply.body) > 20_000 * 1024

    with_server(work)


def test_a_client_that_goes_away_gives_its_work_up() -> None:
    async def work(server: Running) -> None:
        server.models.gate = asyncio.Event()
        client = await server.connect()
        await client.send(post(PAIRED))
        await server.models.entered.wait()
        client.close()
        await server.connections_gone()
        async with asyncio.timeout(60):
            while not server.models.cancelled:
                await asyncio.sleep(0.01)

    with_server(work)


def test_the_end_waits_for_answers_and_takes_no_more_requests() -> None:
    async def work(server: Running) -> None:
        server.models.gate = asyncio.Event()
        client = await server.connect()
        await client.send(post(PAIRED))
        await server.models.entered.wait()
        server.server.should_exit = True
        async with asyncio.timeout(60):
            while any(listening.is_serving() for listening in server.server.servers):
                await asyncio.sleep(0.01)
        with pytest.raises(ConnectionRefusedError):
            while True:
                (await server.connect()).close()
        server.models.gate.set()
        assert (await client.reply()).status == 200
        assert await client.is_closed()

    with_server(work)


def test_the_end_does_not_wait_for_ever() -> None:
    async def work(server: Running) -> None:
        server.models.gate = asyncio.Event()
        client = await server.connect()
        await client.send(post(PAIRED))
        await server.models.entered.wait()
        server.application.accepting = False
        server.server.should_exit = True
        reply = await client.reply()
        assert reply.status == 503 and "ends" in reply.error
        assert server.models.cancelled == 1

    with_server(work, ServerLimits(drain_s=0.1))
