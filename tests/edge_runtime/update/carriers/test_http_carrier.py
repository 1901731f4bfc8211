"""Downloads over a server that cuts, stalls, lies and redirects; each test asserts that its fault fired."""

import hashlib
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime.errors import UpdateError
from edge_runtime.update import HeldBack, HttpCarrier, NotThere, Unreachable
from edge_runtime.update.carriers.http_carrier import PIECE
from edge_runtime.update.carriers.partial_file import record_of
from tests.edge_runtime.update.clocks import FakeClock
from tests.edge_runtime.update.loopback_server import Handler, LoopbackServer

SMALL = random.Random(1).randbytes(300_000)
LARGE = random.Random(2).randbytes(5 * PIECE // 2)
MakeCarrier = Callable[..., HttpCarrier]


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _serve(server: LoopbackServer, data: bytes) -> str:
    path = f"blobs/{_sha(data)}"
    server.files[path] = data
    return path


def _download(carrier: HttpCarrier, path: str, part: Path, data: bytes) -> None:
    carrier.download(path, part, size=len(data), sha256=_sha(data))
    assert part.read_bytes() == data


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "blob.part"


def cut(after: int) -> Callable[[Handler, bytes], None]:
    """Promise what was asked for, send `after` bytes of it, and hang up."""

    def cut_off(handler: Handler, content: bytes) -> None:
        first, last = handler.range_of(content)
        whole = content if first is None else content[first : last + 1]
        headers = {"Content-Length": str(len(whole))}
        if first is not None:
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        handler.head(200 if first is None else 206, headers)
        handler.body(whole[:after])
        handler.hang_up()

    return cut_off


def says(status: int, body: bytes = b"", **headers: str) -> Callable[[Handler, bytes], None]:
    def said(handler: Handler, _: bytes) -> None:
        handler.answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})

    return said


def closes_at_once(handler: Handler, _: bytes) -> None:
    handler.hang_up()


def test_a_small_file_is_fetched_in_one_request(server: LoopbackServer, carrier: HttpCarrier) -> None:
    server.files["metadata/timestamp.json"] = b"{}"
    assert carrier("metadata/timestamp.json", 100) == b"{}"
    assert server.paths == ["metadata/timestamp.json"]


def test_requests_share_a_connection(server: LoopbackServer, carrier: HttpCarrier, part: Path) -> None:
    server.files["metadata/timestamp.json"] = b"{}"
    with pytest.raises(NotThere):
        carrier("metadata/2.root.json", 100)
    carrier("metadata/timestamp.json", 100)
    _download(carrier, _serve(server, LARGE), part, LARGE)
    assert len(server.asked) == 5
    assert server.connections == 1


def test_a_file_that_is_longer_than_allowed_is_refused_unread(server: LoopbackServer, carrier: HttpCarrier) -> None:
    server.files["metadata/timestamp.json"] = b"x" * 100_000
    with pytest.raises(UpdateError, match="at most 10 bytes"):
        carrier("metadata/timestamp.json", 10)


def test_a_file_without_a_length_is_read_to_its_bound_only(server: LoopbackServer, carrier: HttpCarrier) -> None:
    def endless(handler: Handler, _: bytes) -> None:
        handler.head(200, {"Transfer-Encoding": "chunked"})
        for _piece in range(1000):
            handler.body(b"3e8\r\n" + b"x" * 1000 + b"\r\n")

    server.plan(endless)
    with pytest.raises(UpdateError, match="at most 500 bytes"):
        carrier("metadata/timestamp.json", 500)
    assert server.fired == ["endless"]


def test_a_large_file_comes_in_pieces_below_a_mebibyte(
    server: LoopbackServer, carrier: HttpCarrier, part: Path
) -> None:
    _download(carrier, _serve(server, LARGE), part, LARGE)
    assert [asked for _, asked in server.asked] == [
        f"bytes=0-{PIECE - 1}", f"bytes={PIECE}-{2 * PIECE - 1}", f"bytes={2 * PIECE}-{len(LARGE) - 1}",
    ]  # fmt: skip
    assert server.sent == len(LARGE)


def test_an_empty_file_needs_no_request(server: LoopbackServer, carrier: HttpCarrier, part: Path) -> None:
    _download(carrier, "blobs/empty", part, b"")
    assert not server.asked


def test_a_cut_connection_is_resumed_where_it_ended(server: LoopbackServer, carrier: HttpCarrier, part: Path) -> None:
    server.plan(cut(100_000))
    server.plan(cut(70_000))
    _download(carrier, _serve(server, SMALL), part, SMALL)
    assert server.fired == ["cut_off", "cut_off"]
    assert [asked.split("-")[0] for _, asked in server.asked] == ["bytes=0", "bytes=100000", "bytes=170000"]
    assert server.sent == len(SMALL)


def test_a_server_that_always_cuts_is_given_up_after_three_attempts_without_progress(
    server: LoopbackServer, carrier: HttpCarrier, part: Path
) -> None:
    server.plan(cut(0), times=20)
    with pytest.raises(Unreachable, match="breaks off"):
        _download(carrier, _serve(server, SMALL), part, SMALL)
    assert len(server.fired) == 3


def test_a_connection_that_ends_before_the_answer_is_tried_again(
    server: LoopbackServer, carrier: HttpCarrier, part: Path
) -> None:
    server.plan(closes_at_once)
    _download(carrier, _serve(server, SMALL), part, SMALL)
    server.plan(closes_at_once, times=2)
    server.files["metadata/timestamp.json"] = b"{}"
    assert carrier("metadata/timestamp.json", 10) == b"{}"
    assert server.fired == ["closes_at_once"] * 3


def test_another_run_goes_on_with_what_is_there(
    server: LoopbackServer, make_carrier: MakeCarrier, clock: FakeClock, part: Path
) -> None:
    path = _serve(server, SMALL)
    for _ in range(3):
        server.plan(cut(50_000))
        server.plan(says(503, Retry_After="1"))
        with pytest.raises(Unreachable, match="answered 503"):
            make_carrier().download(path, part, size=len(SMALL), sha256=_sha(SMALL))
        clock.passes(7200)
    _download(make_carrier(), path, part, SMALL)
    assert server.fired == ["cut_off", "said"] * 3
    assert server.sent == len(SMALL)


def test_a_stalled_server_is_given_up(server: LoopbackServer, make_carrier: MakeCarrier, part: Path) -> None:
    def stalls(handler: Handler, content: bytes) -> None:
        handler.head(206, {"Content-Length": "1000", "Content-Range": f"bytes 0-999/{len(content)}"})
        handler.wfile.flush()
        stalled.wait(10)

    stalled = threading.Event()
    carrier = make_carrier(timeout_s=0.2)
    server.plan(stalls, times=3)
    try:
        with pytest.raises(Unreachable, match="breaks off"):
            _download(carrier, _serve(server, SMALL), part, SMALL)
    finally:
        stalled.set()
    assert server.fired == ["stalls"] * 3


def test_a_server_that_dribbles_is_given_up(server: LoopbackServer, make_carrier: MakeCarrier, part: Path) -> None:
    def dribbles(handler: Handler, content: bytes) -> None:
        first, last = handler.range_of(content)
        said = f"bytes {first}-{last}/{len(content)}"
        handler.head(206, {"Content-Length": str(last - (first or 0) + 1), "Content-Range": said})
        for _ in range(30):
            if over.wait(0.1):
                return
            handler.body(b"x")

    over = threading.Event()
    server.plan(dribbles, times=3)
    try:
        with pytest.raises(Unreachable, match=r"breaks off .* bytes in 1 s"):
            _download(make_carrier(timeout_s=1.0), _serve(server, SMALL), part, SMALL)
    finally:
        over.set()
    assert server.fired == ["dribbles"] * 3


def test_a_head_that_never_ends_is_given_up(server: LoopbackServer, make_carrier: MakeCarrier, part: Path) -> None:
    def goes_on(handler: Handler, _: bytes) -> None:
        while not over.wait(0.05):
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    over = threading.Event()
    server.plan(goes_on, times=3)
    try:
        with pytest.raises(Unreachable, match="breaks off"):
            _download(make_carrier(timeout_s=0.2), _serve(server, SMALL), part, SMALL)
    finally:
        over.set()
    assert server.fired == ["goes_on"] * 3


def test_a_server_without_ranges_is_read_from_its_start_and_said_so(
    server: LoopbackServer, carrier: HttpCarrier, part: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.ranges = False
    _download(carrier, _serve(server, LARGE), part, LARGE)
    assert len(server.asked) == 1
    assert "knows no ranges" in caplog.text


def test_what_is_there_survives_a_server_that_has_lost_its_ranges(
    server: LoopbackServer, make_carrier: MakeCarrier, clock: FakeClock, part: Path
) -> None:
    path = _serve(server, LARGE)
    server.plan(cut(PIECE // 2))
    server.plan(says(503))
    with pytest.raises(Unreachable):
        _download(make_carrier(), path, part, LARGE)
    clock.passes(7200)
    server.ranges = False
    server.plan(cut(PIECE // 4))  # before the end of what is there
    with pytest.raises(Unreachable, match="breaks off"):
        _download(make_carrier(), path, part, LARGE)
    assert part.stat().st_size == PIECE // 2
    with pytest.raises(Unreachable, match="asked again in"):
        _download(make_carrier(), path, part, LARGE)
    clock.passes(6 * 3600)
    _download(make_carrier(), path, part, LARGE)
    assert server.fired == ["cut_off", "said", "cut_off"]


def test_a_file_that_never_fits_into_the_cap_of_a_server_without_ranges_is_refused(
    server: LoopbackServer, make_carrier: MakeCarrier, part: Path
) -> None:
    server.ranges = False
    with pytest.raises(UpdateError, match=r"do not fit into network\.bytes_per_day"):
        _download(make_carrier(bytes_per_day=PIECE * 2), _serve(server, LARGE), part, LARGE)
    assert not part.stat().st_size


@pytest.mark.parametrize(
    ("length", "said"),
    [
        ("1000", "bytes 5-1004/300000"),
        ("1000", "bytes 0-999/5000"),
        ("400000", "bytes 0-399999/300000"),
        ("2000", "bytes 0-999/300000"),
        ("1000", "bytes 0-abc/300000"),
        ("1000", ""),
        ("1000", "bytes 999-0/300000"),
        ("1000", "lines 0-999/300000"),
    ],
)
def test_a_server_that_lies_about_ranges_is_not_read(
    server: LoopbackServer, carrier: HttpCarrier, part: Path, length: str, said: str
) -> None:
    def lies(handler: Handler, _: bytes) -> None:
        handler.head(206, {"Content-Length": length, "Content-Range": said})
        handler.hang_up()

    server.plan(lies)
    with pytest.raises(UpdateError, match="expected bytes 0-299999/300000"):
        _download(carrier, _serve(server, SMALL), part, SMALL)
    assert server.fired == ["lies"]


def test_a_server_that_lies_about_the_length_is_not_read(
    server: LoopbackServer, carrier: HttpCarrier, part: Path
) -> None:
    server.ranges = False
    server.plan(says(200, b"x" * 50))
    with pytest.raises(UpdateError, match="expected 300000 bytes, got 50"):
        _download(carrier, _serve(server, SMALL), part, SMALL)
    assert server.fired == ["said"]


def test_a_server_that_sends_more_than_promised_is_stopped(
    server: LoopbackServer, carrier: HttpCarrier, part: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def overflows(handler: Handler, content: bytes) -> None:
        handler.head(206, {"Transfer-Encoding": "chunked", "Content-Range": f"bytes 0-299999/{len(content)}"})
        for piece in (content, b"x" * 1_000_000):
            handler.body(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        handler.hang_up()

    server.plan(overflows)
    _download(carrier, _serve(server, SMALL), part, SMALL)
    assert server.fired == ["overflows"]
    assert "sends more than the 300000 bytes" in caplog.text


def test_an_encoded_answer_is_refused(server: LoopbackServer, carrier: HttpCarrier, part: Path) -> None:
    server.plan(says(206, b"x" * 300_000, Content_Encoding="gzip", Content_Range="bytes 0-299999/300000"))
    with pytest.raises(UpdateError, match="encoded as 'gzip'"):
        _download(carrier, _serve(server, SMALL), part, SMALL)
    assert server.fired == ["said"]


def test_another_file_than_the_promised_one_leaves_nothing_and_is_not_asked_for_in_a_day(
    server: LoopbackServer, carrier: HttpCarrier, clock: FakeClock, part: Path
) -> None:
    path = _serve(server, SMALL)
    server.files[path] = SMALL[:-1] + b"?"
    with pytest.raises(UpdateError, match=f"expected a file with the sha256 {_sha(SMALL)}"):
        _download(carrier, path, part, SMALL)
    assert not part.exists() and not record_of(part).exists()
    clock.passes(80_000)
    with pytest.raises(Unreachable, match="asked again in"):
        _download(carrier, path, part, SMALL)
    assert server.sent == len(SMALL)


def test_damaged_bytes_of_an_earlier_run_are_fetched_once_more(
    server: LoopbackServer, make_carrier: MakeCarrier, clock: FakeClock, part: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _serve(server, SMALL)
    server.plan(cut(100_000))
    server.plan(says(503))
    with pytest.raises(Unreachable):
        _download(make_carrier(), path, part, SMALL)
    clock.passes(7200)
    part.write_bytes(b"?" + part.read_bytes()[1:])
    _download(make_carrier(), path, part, SMALL)
    assert server.fired == ["cut_off", "said"]
    assert server.sent == 100_000 + 200_000 + 300_000
    assert "do not fit" in caplog.text


def test_a_file_that_changed_on_the_server_is_fetched_from_its_start(
    server: LoopbackServer, make_carrier: MakeCarrier, clock: FakeClock, part: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _serve(server, SMALL)
    server.files[path] = bytes(len(SMALL))
    server.plan(cut(100_000))
    server.plan(says(503))
    with pytest.raises(Unreachable):
        _download(make_carrier(), path, part, SMALL)
    clock.passes(7200)
    server.files[path], server.etag = SMALL, '"two"'
    _download(make_carrier(), path, part, SMALL)
    assert server.if_ranges[-2:] == ['"one"', None]
    assert "has changed the file" in caplog.text


def test_etags_that_differ_from_answer_to_answer_cost_one_restart_only(
    server: LoopbackServer, carrier: HttpCarrier, part: Path
) -> None:
    def with_another_tag(handler: Handler, content: bytes) -> None:
        server.etag = f'"{len(server.asked)}"'
        handler.serve(content)

    server.plan(with_another_tag, times=10)
    _download(carrier, _serve(server, LARGE), part, LARGE)
    assert server.fired == ["with_another_tag"] * 5
    starts = [asked.split("-")[0] for _, asked in server.asked]
    assert starts == ["bytes=0", f"bytes={PIECE}", "bytes=0", f"bytes={PIECE}", f"bytes={2 * PIECE}"]


def test_a_weak_etag_is_not_used(server: LoopbackServer, carrier: HttpCarrier, part: Path) -> None:
    server.etag = 'W/"one"'
    _download(carrier, _serve(server, LARGE), part, LARGE)
    assert server.if_ranges == [None] * 3


def test_redirects_within_the_server_are_followed(server: LoopbackServer, carrier: HttpCarrier, part: Path) -> None:
    path = _serve(server, SMALL)
    server.files["moved"] = SMALL
    server.plan(says(302, Location="/moved"))
    _download(carrier, path, part, SMALL)
    assert server.paths == [path, "moved"]
    assert server.fired == ["said"]


@pytest.mark.parametrize(
    "location",
    ["http://localhost:1/x", "https://example.com/x", "ftp://127.0.0.1/x", "//[bad", "", "http://127.0.0.1:1/"],
)
def test_redirects_elsewhere_are_refused(
    server: LoopbackServer, carrier: HttpCarrier, part: Path, location: str
) -> None:
    server.plan(says(302, Location=location))
    with pytest.raises(Unreachable, match="a redirect within the server"):
        _download(carrier, _serve(server, SMALL), part, SMALL)
    assert server.fired == ["said"]
    assert len(server.asked) == 1


def test_redirects_to_a_named_host_are_followed(server: LoopbackServer, make_carrier: MakeCarrier, part: Path) -> None:
    path = _serve(server, SMALL)
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    server.plan(says(307, Location=f"{elsewhere}/{path}"))
    _download(make_carrier(redirect_hosts=("localhost",)), path, part, SMALL)
    assert server.fired == ["said"]


def test_redirects_in_a_circle_end(server: LoopbackServer, carrier: HttpCarrier, part: Path) -> None:
    path = _serve(server, SMALL)
    server.plan(says(302, Location=f"/{path}"), times=10)
    with pytest.raises(Unreachable, match="at most 3 redirects"):
        _download(carrier, path, part, SMALL)
    assert len(server.fired) == 4


@pytest.mark.parametrize("status", [403, 404, 410])
def test_what_is_not_there_says_so(server: LoopbackServer, carrier: HttpCarrier, status: int) -> None:
    server.plan(says(status))
    with pytest.raises(NotThere, match=str(status)):
        carrier("metadata/2.root.json", 100)
    assert server.fired == ["said"]


def test_no_server_is_unreachable(make_carrier: MakeCarrier, unused_port: int) -> None:
    with pytest.raises(Unreachable, match="refused"):
        make_carrier(f"http://127.0.0.1:{unused_port}")("metadata/timestamp.json", 100)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a//b", "a/./b", "", "a\\b", "a/..", "a\nb"])
def test_paths_out_of_the_repository_are_refused(carrier: HttpCarrier, path: str, server: LoopbackServer) -> None:
    with pytest.raises(UpdateError, match="below the repository"):
        carrier(path, 10)
    assert not server.asked


def test_a_proxy_is_asked_for_the_whole_url(server: LoopbackServer, make_carrier: MakeCarrier) -> None:
    server.files["http://models.example.com/edge/metadata/timestamp.json"] = b"{}"
    carrier = make_carrier("http://models.example.com/edge", proxy=server.url)
    assert carrier("metadata/timestamp.json", 100) == b"{}"


def test_the_environments_proxy_is_used_unless_the_configuration_says_none(
    server: LoopbackServer, make_carrier: MakeCarrier, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:secret@127.0.0.1:{unused_port}")
    server.files["x"] = b"here"
    assert make_carrier(proxy="")("x", 10) == b"here"
    with pytest.raises(Unreachable) as raised:
        make_carrier(proxy=None)("x", 10)
    assert "secret" not in str(raised.value)


def test_a_window_that_closes_stops_a_download_between_two_pieces(
    server: LoopbackServer, make_carrier: MakeCarrier, part: Path
) -> None:
    def closed_after_two() -> None:
        if len(server.asked) == 2:
            raise HeldBack("window", "closed")

    carrier = make_carrier()
    carrier._go_on = closed_after_two
    with pytest.raises(HeldBack):
        _download(carrier, _serve(server, LARGE), part, LARGE)
    assert part.stat().st_size == 2 * PIECE


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=st.binary(max_size=400), head=st.sampled_from([b"", b"HTTP/1.1 206 OK\r\n", b"HTTP/1.1 200 OK\r\n"]))
def test_any_bytes_of_a_server_are_an_update_error(
    server: LoopbackServer, make_carrier: MakeCarrier, tmp_path: Path, answer: bytes, head: bytes
) -> None:
    def babbles(handler: Handler, _: bytes) -> None:
        handler.wfile.write(head + answer)
        handler.hang_up()

    (tmp_path / "state" / "politeness.json").unlink(missing_ok=True)
    server.plan(babbles, times=3)
    path = _serve(server, SMALL)
    with pytest.raises(UpdateError):
        make_carrier().download(path, tmp_path / "part", size=len(SMALL), sha256=_sha(SMALL))
    assert "babbles" in server.fired
    server._faults.clear()
