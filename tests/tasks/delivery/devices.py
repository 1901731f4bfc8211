"""Signed repositories that are begun with real keys, and devices that read them: as a folder, or over HTTP."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tuf.api.metadata import Metadata, Targets

from edge_runtime.bundle import BLOBS, Golden, Manifest, Measured, check_blob, decode_manifest
from edge_runtime.configuration import UpdateConfiguration, parse_configuration
from edge_runtime.errors import TrustError
from edge_runtime.golden import write_golden
from edge_runtime.trust import folder_fetch, trusted_manifest
from tasks.measurement import GOLDEN, Acceptance
from tasks.repository import PINNED, KeyWork, Passphrases, RootShape, keys_folder, open_repository, release_of
from tasks.workspace import Workspace

WORKER, PERSONS = "passphrase of the worker", "passphrase of the persons"


def begin(workspace: Workspace, devices: Sequence[str] = ("bench",)) -> None:
    """Begin a repository where a workspace publishes to, as `edgewright keys init` does."""
    keys = keys_folder(workspace.home)
    work = KeyWork(open_repository(workspace.published, keys), keys, Passphrases())
    work.begin(workspace.home.parent / "offline", RootShape(), devices)


@dataclass(frozen=True)
class Reader:
    """A device with its own metadata, which reads a folder: it never takes what is older than what it knows."""

    folder: Path
    workspace: Workspace

    def manifest(self, model: str, device: str = "bench") -> Manifest | None:
        """Return the manifest that is offered, all of its files being there; None where none is offered."""
        root = (keys_folder(self.workspace.home) / PINNED).read_bytes()
        target = self.workspace.target
        try:
            found = trusted_manifest(self.folder, root, folder_fetch(target), model, device)
        except TrustError as error:
            assert "must list" in str(error)
            return None
        manifest = decode_manifest(found.data)
        for blob in manifest.files:
            check_blob(target / BLOBS / blob.sha256, blob)
        return manifest

    def release(self, model: str, device: str = "bench") -> int:
        """Return the number of the release that is offered, 0 for none."""
        manifest = self.manifest(model, device)
        return 0 if manifest is None else int(manifest.release)


def signed_releases(workspace: Workspace, model: str, device: str = "bench") -> list[int]:
    """Return the number of the release in each signed version of a device's role, in their order."""
    folder = workspace.target / "metadata"
    files = sorted(folder.glob(f"*.device-{device}.json"), key=lambda path: int(path.name.partition(".")[0]))
    roles = (Metadata[Targets].from_file(str(path)).signed for path in files)
    return [release_of(role.targets.get(f"{model}/{device}/manifest.json")) for role in roles]


def acceptance(file: Path, folder: Path, rows: np.ndarray) -> Acceptance:
    """Return what a device tests a file with: what it answers to some rows of its one input `x`."""
    answers = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]).run(["y"], {"x": rows})[0]
    folder.mkdir(parents=True, exist_ok=True)
    write_golden(folder / GOLDEN, {"x": rows}, {"y": answers})
    return Acceptance(folder / GOLDEN, Golden(GOLDEN, len(rows), len(rows), {"y": 1e-2}), (), Measured())


@dataclass
class Traffic:
    """The paths that a server was asked for, and the bytes of the files that it sent."""

    asked: list[str] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)

    def clear(self) -> None:
        self.asked.clear()
        self.sent.clear()

    @property
    def bytes_of_blobs(self) -> int:
        return sum(size for path, size in self.sent.items() if path.startswith(f"/{BLOBS}/"))


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, Traffic]]:
    """Serve a folder as any web server does, on a free loopback port; yield the address and what is counted."""
    traffic = Traffic()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            traffic.asked.append(self.path)
            super().do_GET()

        def copyfile(self, source: Any, outputfile: Any) -> None:
            content = source.read()
            traffic.sent[self.path] = traffic.sent.get(self.path, 0) + len(content)
            outputfile.write(content)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", traffic
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def configured(workspace: Workspace, state: Path, url: str, model: str, device: str = "bench") -> UpdateConfiguration:
    """Return the configuration of a device that was shipped with the root of a workspace's repository."""
    root = keys_folder(workspace.home) / PINNED
    return parse_configuration(
        {
            "device": device, "models": [model], "url": url, "state": str(state), "root": str(root),
            "network": {"proxy": ""}, "trial": {"memory_mb": 2048},
        },
        "test",
    )  # fmt: skip
