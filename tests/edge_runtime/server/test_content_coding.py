import gzip
import zlib

import pytest

from edge_runtime.errors import BadRequest, TooLarge, UnknownCoding
from edge_runtime.server.content_coding import accepted_coding, deflated, inflated, known_coding

TEXT = b"edge " * 1000


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_body_is_inflated(coding: str, pack: type[bytes]) -> None:
    assert inflated(pack(TEXT), coding, len(TEXT)) == TEXT
    assert inflated(deflated(TEXT, coding), coding, len(TEXT)) == TEXT
    assert inflated(pack(b""), coding, 0) == b""


def test_others_read_what_was_packed() -> None:
    assert gzip.decompress(deflated(TEXT, "gzip")) == zlib.decompress(deflated(TEXT, "deflate")) == TEXT


def test_a_small_body_that_would_be_huge_is_stopped() -> None:
    bomb = gzip.compress(bytes(50 << 20))
    assert len(bomb) < 100_000
    with pytest.raises(TooLarge):
        inflated(bomb, "gzip", 1 << 20)
    with pytest.raises(TooLarge):
        inflated(gzip.compress(TEXT), "gzip", len(TEXT) - 1)


@pytest.mark.parametrize(
    "data",
    [b"", b"no gzip", gzip.compress(TEXT)[:-1], gzip.compress(TEXT) + b"more", gzip.compress(TEXT) * 2,
     zlib.compress(TEXT), gzip.compress(TEXT)[:-8] + bytes(8)],
    ids=["nothing", "text", "short", "long", "twice", "another", "a wrong sum"],
)  # fmt: skip
def test_a_broken_body_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest):
        inflated(data, "gzip", 1 << 20)


def test_codings_are_known_or_refused() -> None:
    assert [known_coding(each) for each in (None, "identity", " GZIP", "deflate")] == [None, None, "gzip", "deflate"]
    for each in ("br", "gzip, gzip", "", "x" * 1000):
        with pytest.raises(UnknownCoding):
            known_coding(each or "zstd")


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, None),
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0.5, deflate;q=0.8", "deflate"),
        ("gzip;q=0.5, identity", None),
        ("gzip;q=9, ;;,=,gzip;q=x", None),
    ],
)
def test_the_coding_is_the_one_that_the_client_likes_best(header: str | None, coding: str | None) -> None:
    assert accepted_coding(header) == coding
