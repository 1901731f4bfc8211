"""Frames: a message and its files arrive as they were sent, and what a stranger sends is bounded."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.remote.frames import LONGEST_LINE, FrameReader, write_frame


def reader_of(data: bytes, most: int = 3) -> FrameReader:
    """A reader of data that comes a few bytes at a time."""
    stream = io.BytesIO(data)
    return FrameReader(lambda wanted: stream.read(min(wanted, most)))


def sent(content: dict[str, Any], *files: Path) -> bytes:
    parts: list[bytes] = []
    write_frame(parts.append, content, files)
    return b"".join(parts)


@pytest.mark.parametrize("most", [1, 7, 1 << 16])
def test_messages_arrive_with_their_files(tmp_path: Path, most: int) -> None:
    first, empty = tmp_path / "first", tmp_path / "empty"
    first.write_bytes(b"abc\n" * 1000)
    empty.write_bytes(b"")
    reader = reader_of(sent({"ask": "a"}, first, empty) + sent({"ask": "b"}), most)
    place = tmp_path / "received"
    place.mkdir()
    frame = reader.next(place, 4000)
    assert frame.content == {"ask": "a"}
    assert [file.read_bytes() for file in frame.files] == [first.read_bytes(), b""]
    assert reader.next(place, 0).content == {"ask": "b"}
    with pytest.raises(EOFError):
        reader.next(place, 0)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"x" * (LONGEST_LINE + 2), "at most 1048576 bytes, got a longer one"),
        (b"hello\n", "expected a message in JSON, got b'hello'"),
        (b"[" * 100_000 + b"\n", "expected a message in JSON"),
        (b"[]\n", "expected a message with keys"),
        (b"{}\n", "expected the sizes"),
        (b'{"bytes": [-1]}\n', "expected the sizes"),
        (b'{"bytes": [true]}\n', "expected the sizes"),
        (b'{"bytes": [1.0]}\n', "expected the sizes"),
        (json.dumps({"bytes": [0] * 10_001}).encode() + b"\n", "expected the sizes"),
        (b'{"bytes": [3, 2]}\nabcde', "at most 4 bytes of files in a message, got 5"),
    ],
)
def test_what_is_no_message_is_refused_before_anything_is_written(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        reader_of(data, 1 << 16).next(tmp_path, 4)
    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_ends_within_a_file_is_an_end(tmp_path: Path) -> None:
    with pytest.raises(EOFError):
        reader_of(b'{"bytes": [5]}\nabc').next(tmp_path, 10)


def test_a_file_that_shrinks_while_it_is_sent_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    with pytest.raises(OSError, match="lost 6 bytes while it was sent"):
        write_frame(lambda _: file.write_bytes(b"0123"), {}, [file])
