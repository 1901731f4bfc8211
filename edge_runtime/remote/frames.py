"""Frames: a line of JSON, and after it the bytes of the files that the line announces."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.files import CHUNK

LONGEST_LINE = 1 << 20
_MOST_FILES = 10_000
_BYTES = "bytes"


@dataclass(frozen=True)
class Frame:
    """A message: its content, and the files that came with it, in order."""

    content: dict[str, Any]
    files: tuple[Path, ...] = ()


def write_frame(write: Callable[[bytes], object], content: dict[str, Any], files: Sequence[Path] = ()) -> None:
    """Write a message with whole files; each must keep its size meanwhile, or OSError is raised."""
    sizes = [file.stat().st_size for file in files]
    write(json.dumps(content | {_BYTES: sizes}, allow_nan=False).encode() + b"\n")
    for file, size in zip(files, sizes, strict=True):
        left = size
        with file.open("rb") as reader:
            while left and (chunk := reader.read(min(CHUNK, left))):
                left -= len(chunk)
                write(chunk)
        if left:
            raise OSError(f"{file} lost {left} bytes while it was sent")


class FrameReader:
    """Reader of messages that somebody else wrote; `read(n)` returns 1 to n bytes, or none at the end."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._received = b""

    def next(self, folder: Path, most_bytes: int) -> Frame:
        """Read a message; its files are written into a folder as `file-0` and so on.

        Raises EOFError at the end of the stream, and ValueError for a line that is longer than LONGEST_LINE or is no
        message, and for files of more than `most_bytes` together.
        """
        content = self._line()
        sizes = content.pop(_BYTES, None)
        if not isinstance(sizes, list) or len(sizes) > _MOST_FILES or not all(_is_size(size) for size in sizes):
            raise ValueError("expected the sizes of the files in a message, got none")
        if sum(sizes) > most_bytes:
            raise ValueError(f"expected at most {most_bytes} bytes of files in a message, got {sum(sizes)}")
        paths = tuple(folder / f"file-{index}" for index in range(len(sizes)))
        for path, size in zip(paths, sizes, strict=True):
            self._save(path, size)
        return Frame(content, paths)

    def _line(self) -> dict[str, Any]:
        while b"\n" not in self._received:
            if len(self._received) > LONGEST_LINE:
                raise ValueError(f"expected a message in a line of at most {LONGEST_LINE} bytes, got a longer one")
            self._received += self._more(1 << 16)
        line, _, self._received = self._received.partition(b"\n")
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"expected a message in JSON, got {line[:80]!r}") from error
        if not isinstance(content, dict):
            raise ValueError(f"expected a message with keys, got {line[:80]!r}")
        return content

    def _save(self, path: Path, size: int) -> None:
        with path.open("xb") as file:
            while size:
                chunk = self._received[:size] or self._more(min(size, 1 << 16))
                self._received = self._received[len(chunk) :]
                file.write(chunk)
                size -= len(chunk)

    def _more(self, most: int) -> bytes:
        found = self._read(most)
        if not found:
            raise EOFError("the other end has closed the stream")
        return found


def _is_size(size: object) -> bool:
    return type(size) is int and size >= 0
