"""A server on a free loopback port inside the event loop of a test, and clients that send whatever they like."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime.server import InferenceApplication, ServerLimits, ServerSettings
from edge_runtime.server.serving_process import OrderlyServer, make_server
from tests.edge_runtime.server.memory_models import ECHO, PAIR, MemoryModels

LONGEST_S = 60.0
READY = b"GET /v2/health/ready HTTP/1.1\r\nHost: device\r\n\r\n"
ROW = {"datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
PAIRED = json.dumps({"inputs": [{"name": "a", **ROW}, {"name": "b", **ROW}]}).encode()


@dataclass(frozen=True)
class Running:
    """A server that runs, its models, and the port that it listens to."""

    server: OrderlyServer
    application: InferenceApplication
    models: MemoryModels
    port: int

    async def connect(self) -> "RawClient":
        """Open a connection."""
        return RawClient(*await asyncio.open_connection("127.0.0.1", self.port))

    async def connections_gone(self) -> None:
        """Wait until no connection is open."""
        async with asyncio.timeout(LONGEST_S):
            while self.server.server_state.connections:
                await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Reply:
    """A response as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        """The message of the protocol's object for errors."""
        assert self.headers["content-type"] == "application/json"
        said: str = json.loads(self.body)["error"]
        return said


@dataclass(frozen=True)
class RawClient:
    """A connection over which anything is sent."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self) -> Reply:
        """Read one response."""
        async with asyncio.timeout(LONGEST_S):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Reply(int(first.split()[1]), headers, body)

    async def asked(self, data: bytes) -> Reply:
        """Send bytes and read one response."""
        await self.send(data)
        return await self.reply()

    async def is_closed(self) -> bool:
        """Wait for the server to close the connection; True where it sent nothing more."""
        try:
            async with asyncio.timeout(LONGEST_S):
                return await self.reader.read() == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """Go away."""
        self.writer.close()


def post(body: bytes, *headers: str, model: str = PAIR, length: int | None = None) -> bytes:
    """Return a request for an inference."""
    lines = [f"POST /v2/models/{model}/infer HTTP/1.1", "Host: device", *headers]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def echo(rows: int) -> bytes:
    """Return a request whose response has so many rows of 256 float32."""
    array = np.zeros((rows, 256), np.float32)
    tensor: dict[str, Any] = {"name": "in_float32", "datatype": "FP32", "shape": list(array.shape)}
    tensor["parameters"] = {"binary_data_size": array.nbytes}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return post(head + array.tobytes(), f"Inference-Header-Content-Length: {len(head)}", model=ECHO)


@asynccontextmanager
async def running_server(limits: ServerLimits | None = None, announced_s: float = 0.0) -> AsyncIterator[Running]:
    """Run a server with models in memory."""
    settings = ServerSettings(port=0, limits=limits or ServerLimits(), announced_s=announced_s)
    models = MemoryModels()
    application = InferenceApplication(models, settings.limits)
    server = make_server(application, settings)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve([listening]))
        try:
            async with asyncio.timeout(LONGEST_S):
                while not server.started:
                    await asyncio.sleep(0.01)
            yield Running(server, application, models, listening.getsockname()[1])
        finally:
            server.should_exit = True
            await serving
