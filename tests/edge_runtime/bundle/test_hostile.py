"""Bundles of somebody who means harm: each is refused at once, with a BundleError that a terminal can show."""

import contextlib
import copy
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.__main__ import main
from edge_runtime.bundle import (
    MAX_BYTES,
    BundleError,
    Manifest,
    decode_manifest,
    encode_manifest,
    identify_bundle,
    manifests_of,
    read_bundle,
)
from edge_runtime.settings import MAX_THREADS
from tests.edge_runtime.bundle.linear import described, everything, write
from tests.edge_runtime.models import linear_model

ODD: list[Any] = [
    None, True, False, -1, 0, 257, 10**9, 10**30, 1.0, 0.5, float("nan"), float("inf"), [], {}, [[]], [None] * 40,
    "", " ", "1", "..", "../up", "a/b", "a\nb", "\x1b[2J\x1b[31m", "\u202egro.live", "\u2028", "\ud800", "\x00", "%s",
    "x" * 5_000, {"": ""}, {"sha256": "a"}, "overridden", "float32", "object", "all",
]  # fmt: skip
MUTATED = 4_000
SHOWN = 200


@pytest.fixture
def full(model: Path, tmp_path: Path) -> bytes:
    """A manifest in which nothing is left out."""
    (tmp_path / "golden.npz").write_bytes(b"vectors")
    linear_model(tmp_path / "head.scores.onnx", outputs=4)
    files = {"model.onnx": model} | {name: tmp_path / name for name in ("golden.npz", "head.scores.onnx")}
    return encode_manifest(described(files, **everything(files)))


def renamed(bundle: Path, data: bytes) -> Path:
    """Put a manifest in a bundle's place, under the name that fits it, so that only the content is wrong."""
    bundle.unlink()
    path = bundle.with_name(f"{hashlib.sha256(data).hexdigest()}.manifest.json")
    path.write_bytes(data)
    return path


def encoded(document: Any) -> bytes:
    return (json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n").encode()


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    if not isinstance(value, dict | list):
        return []
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
    return [(value, key) for key, _ in pairs] + [place for _, inner in pairs for place in places(inner)]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Change one to three places of a manifest, then sometimes its bytes."""
    document = json.loads(data)
    for _ in range(chance.randint(1, 3)):
        found = places(document)
        if not found:
            break
        container, key = chance.choice(found)
        match chance.randrange(4):
            case 0 if isinstance(container, dict):
                container[chance.choice(["extra", "\x1b[0m", "verdict", "approved_by", "size"])] = copy.deepcopy(
                    chance.choice(ODD)
                )
            case 1:
                del container[key]
            case 2 if isinstance(container, list):
                container.append(json.loads(json.dumps(container[0])))
            case _:
                container[key] = copy.deepcopy(chance.choice(ODD))
    changed = bytearray(encoded(document))
    for _ in range(chance.choice([0, 0, 0, 1, 3])):
        place = chance.randrange(len(changed) + 1)
        changed[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    return bytes(changed)


def texts(manifest: Manifest) -> list[str]:
    names = [blob.name for blob in manifest.blobs] + [spec.name for spec in (*manifest.inputs, *manifest.outputs)]
    names += [each.name for each in manifest.documents] + [each.name for each in manifest.spreads]
    lineage = [text for pair in manifest.lineage.items() for text in pair]
    keys = [*manifest.measured.figures, *manifest.measured.batch_ms, *manifest.validity.instruction_sets]
    keys += [] if manifest.golden is None else [manifest.golden.blob, *manifest.golden.tolerance]
    plain = [manifest.model, manifest.version, manifest.device, manifest.runtime, manifest.session.execution_provider]
    return [*plain, *names, *lineage, *keys]


def test_mutated_manifests_are_read_harmless_or_refused(full: bytes) -> None:
    data, chance = full, random.Random(12)
    refused = 0
    for _ in range(MUTATED):
        try:
            manifest = decode_manifest(mutated(data, chance))
        except BundleError as error:
            refused += 1
            assert str(error)
        else:
            assert all(text.isprintable() for text in texts(manifest))
            assert 1 <= manifest.session.threads <= MAX_THREADS
    assert MUTATED * 0.8 < refused < MUTATED  # some changes are of no consequence, such as another version


def test_the_command_shows_mutated_manifests_without_a_traceback_or_an_escape_code(
    bundle: Path, full: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, chance = full, random.Random(13)
    for content in (b"vectors", (tmp_path / "head.scores.onnx").read_bytes()):
        (tmp_path / "target" / "blobs" / hashlib.sha256(content).hexdigest()).write_bytes(content)
    seen = set()
    for _ in range(SHOWN):
        bundle = renamed(bundle, mutated(data, chance))
        status = main(["verify", str(bundle)])
        seen.add(status)
        shown = capsys.readouterr()
        lines = (shown.out + shown.err).splitlines()
        assert 1 <= len(lines) <= 3
        assert all(line.isprintable() and len(line) <= 10_000 for line in lines)
    assert seen == {0, 2}


@pytest.mark.parametrize(
    "data",
    [
        b'{"format_version": 3, "lineage": ' + b"[" * 950 + b"]" * 950 + b"}",
        b'{"blobs": ' + b'{"a":' * 400 + b"1" + b"}" * 400 + b"}",
        b"[" * 500_000,
        b'{"format_version": ' + b"9" * 5_000 + b"}",
        b'{"format_version": NaN}',
        b'{"format_version": -Infinity}',
        b'{"format_version": true}',
        b" " * ((1 << 20) + 1),
        '{"format_version": 3}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
    ],
    ids=["deep", "deep objects", "deeper", "digits", "nan", "infinity", "true", "huge", "utf-16", "bom"],
)
def test_documents_that_break_readers_are_refused(
    bundle: Path, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = renamed(bundle, data)
    with pytest.raises(BundleError):
        read_bundle(odd)
    assert main(["verify", str(odd)]) == 2
    assert len(capsys.readouterr().err) < 1_200


def test_a_manifest_is_not_read_beyond_its_bound(bundle: Path) -> None:
    with bundle.with_name(f"{'0' * 64}.manifest.json").open("wb") as huge:
        huge.truncate(1 << 40)
    with pytest.raises(BundleError, match=f"at most {MAX_BYTES} bytes"):
        read_bundle(huge.name)


@pytest.mark.parametrize("version", [True, 3.0])
def test_a_version_that_only_equals_the_format_is_refused(bundle: Path, version: object) -> None:
    document = json.loads(bundle.read_bytes()) | {"format_version": version}
    with pytest.raises(BundleError, match="has format version"):
        read_bundle(renamed(bundle, encoded(document)))


def fifo(path: Path) -> None:
    os.mkfifo(path)


def linked(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(path.parent):  # its path may have 108 bytes only
        made.bind(path.name)


MADE: list[Callable[[Path], None]] = [fifo, linked, device, listening, Path.mkdir]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", MADE)
@pytest.mark.parametrize("what", ["manifest", "blob", "blobs"])
def test_what_is_no_regular_file_is_refused_without_waiting(
    bundle: Path, tmp_path: Path, make: Callable[[Path], None], what: str
) -> None:
    blobs = tmp_path / "target" / "blobs"
    (blob,) = blobs.iterdir()
    path = {"manifest": bundle, "blob": blob, "blobs": blobs}[what]
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    make(path)
    with pytest.raises(BundleError, match=r"regular file|a folder, not|cannot be read|damaged or renamed"):
        read_bundle(bundle)
    if what == "manifest" and not path.is_symlink():
        with pytest.raises(BundleError, match="it is no regular file"):
            identify_bundle(bundle)


def test_a_folder_of_blobs_that_is_a_link_is_refused_though_its_bytes_are_right(bundle: Path, tmp_path: Path) -> None:
    moved = (tmp_path / "target" / "blobs").rename(tmp_path / "elsewhere")
    (tmp_path / "target" / "blobs").symlink_to(moved)
    with pytest.raises(BundleError, match="must be a folder, not a link"):
        read_bundle(bundle)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [*MADE, lambda path: path.write_bytes(b"weights")])
def test_what_no_manifest_names_is_in_nobodys_way(
    bundle: Path, model: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    """Blobs are shared, so what one manifest does not name may be another's: it is neither read nor followed."""
    for folder in (tmp_path / "target" / "blobs", bundle.parent, tmp_path / "target"):
        make(folder / "model.onnx.data")
    assert read_bundle(bundle).manifest.version == "3"
    second = write(tmp_path / "target", model, version="4")
    assert manifests_of(tmp_path / "target", "linear", "gateway") == sorted([bundle, second])


def test_a_path_that_leads_nowhere_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    (tmp_path / "\x1b[31mred").mkdir()
    for path in (circle, "a\0b", tmp_path / "\x1b[31mred", tmp_path / ("x" * 5_000), "\udcff"):
        assert main(["verify", str(path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and line.isprintable()


def test_a_stream_without_the_letters_is_no_traceback(bundle: Path) -> None:
    document = json.loads(bundle.read_bytes()) | {"version": "Zoë"}
    named = renamed(bundle, encoded(document))
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "PYTHONIOENCODING": "ascii",
    }
    command = [sys.executable, "-m", "edge_runtime", "verify", str(named)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "version Zo\\xeb for" in ended.stdout
