"""Small files that are put below a URL: what counts as sent, what is tried later, and what never arrives."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.configuration import NetworkSettings
from edge_runtime.errors import UpdateError
from edge_runtime.update import DailyTraffic, HeldBack, HttpSender, Politeness, Rejected, Unreachable
from tests.edge_runtime.reports.drop_box import (
    DropBoxServer,
    answers,
    drop_box,
    hangs_up,
    keeps_and_hangs_up,
)
from tests.edge_runtime.update.clocks import FakeClock

PATH, DATA, KIND = "a/000000000001.json", b"x" * 3000, "application/x"
MakeSender = Callable[..., HttpSender]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[DropBoxServer]:
    with drop_box(tmp_path / "box") as running:
        yield running


@pytest.fixture
def make_sender(tmp_path: Path, clock: FakeClock) -> Iterator[MakeSender]:
    """Make senders that share one state folder; a sender's pauses pass the clock's time."""
    made = []

    def make(url: str, go_on: Callable[[], None] = lambda: None, **settings: object) -> HttpSender:
        network = replace(NetworkSettings(proxy="", timeout_s=30.0), **settings)  # type: ignore[arg-type]
        state = tmp_path / "state"
        state.mkdir(exist_ok=True)
        traffic = DailyTraffic(state / "traffic.json", network.bytes_per_day, clock.now)
        patience = Politeness(state / "politeness.json", clock.now, lambda: 0.0)
        made.append(HttpSender(url, network, traffic, patience, go_on=go_on, sleep=clock.passes))
        return made[-1]

    yield make
    for sender in made:
        sender.close()


def test_a_file_arrives_as_it_is(box: DropBoxServer, make_sender: MakeSender) -> None:
    make_sender(box.url).put(PATH, DATA, KIND)
    assert (box.folder / PATH).read_bytes() == DATA
    (put,) = box.puts
    assert (put.path, put.media_type, put.if_none_match) == (PATH, KIND, "*")


def test_a_file_that_is_there_already_counts_as_sent(box: DropBoxServer, make_sender: MakeSender) -> None:
    sender = make_sender(box.url)
    sender.put(PATH, DATA, KIND)
    sender.put(PATH, DATA, KIND)
    assert len(box.puts) == 2 and box.names == [PATH]


@pytest.mark.parametrize("other", [b"y" * 3000, b"x" * 2999, b"x" * 3001, b""])
def test_another_file_of_the_name_is_not_replaced(box: DropBoxServer, make_sender: MakeSender, other: bytes) -> None:
    (box.folder / "a").mkdir()
    (box.folder / PATH).write_bytes(other)
    with pytest.raises(Rejected, match="another file"):
        make_sender(box.url).put(PATH, DATA, KIND)
    assert (box.folder / PATH).read_bytes() == other


def test_a_box_that_shows_nothing_is_believed(
    tmp_path: Path, make_sender: MakeSender, caplog: pytest.LogCaptureFixture
) -> None:
    with drop_box(tmp_path / "closed", readable=False) as box, caplog.at_level(logging.WARNING):
        sender = make_sender(box.url)
        sender.put(PATH, DATA, KIND)
        sender.put(PATH, DATA, KIND)
    assert "does not show it (403)" in caplog.text


def test_an_answer_that_was_lost_does_no_harm(box: DropBoxServer, make_sender: MakeSender, clock: FakeClock) -> None:
    box.plan(keeps_and_hangs_up)
    make_sender(box.url).put(PATH, DATA, KIND)
    assert box.fired == ["keeps_and_hangs_up"] and len(box.puts) == 2 and box.names == [PATH]
    assert clock.passed_s > 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 422])
def test_what_a_server_does_not_take_is_told_at_once(box: DropBoxServer, make_sender: MakeSender, status: int) -> None:
    box.plan(answers(status))
    sender = make_sender(box.url)
    with pytest.raises(Rejected, match=f"answered {status}"):
        sender.put(PATH, DATA, KIND)
    assert box.fired == [f"answers {status}"] and len(box.puts) == 1
    sender.put("a/000000000002.json", DATA, KIND)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 507])
def test_a_server_in_trouble_is_left_alone_for_a_while(
    box: DropBoxServer, make_sender: MakeSender, clock: FakeClock, status: int
) -> None:
    box.plan(answers(status))
    with pytest.raises(Unreachable, match=f"answered {status}"):
        make_sender(box.url).put(PATH, DATA, KIND)
    with pytest.raises(Unreachable, match="failed before"):
        make_sender(box.url).put(PATH, DATA, KIND)
    assert len(box.puts) == 1
    clock.passes(61)
    make_sender(box.url).put(PATH, DATA, KIND)
    assert box.names == [PATH]


def test_a_server_says_when_to_come_again(box: DropBoxServer, make_sender: MakeSender, clock: FakeClock) -> None:
    box.plan(answers(503, Retry_After="500"))
    with pytest.raises(Unreachable, match="again in 500 s"):
        make_sender(box.url).put(PATH, DATA, KIND)
    clock.passes(499)
    with pytest.raises(Unreachable, match="again in 1 s"):
        make_sender(box.url).put(PATH, DATA, KIND)


def test_no_redirect_is_followed(box: DropBoxServer, make_sender: MakeSender, tmp_path: Path) -> None:
    with drop_box(tmp_path / "other") as other:
        for status in (301, 302, 303, 307, 308):
            box.plan(answers(status, Location=f"{other.url}/{PATH}"))
        for _ in range(5):
            with pytest.raises(Unreachable, match=r"not followed|failed before"):
                make_sender(box.url).put(PATH, DATA, KIND)
        assert box.fired == ["answers 301"] and other.puts == []


def test_a_connection_that_breaks_off_is_tried_three_times(box: DropBoxServer, make_sender: MakeSender) -> None:
    box.plan(*[hangs_up] * 3)
    with pytest.raises(Unreachable, match="breaks off"):
        make_sender(box.url).put(PATH, DATA, KIND)
    assert box.fired == ["hangs_up"] * 3 and box.names == []


def test_nobody_there(unused_port: int, make_sender: MakeSender) -> None:
    with pytest.raises(Unreachable, match="does not take"):
        make_sender(f"http://127.0.0.1:{unused_port}/box").put(PATH, DATA, KIND)


def test_what_is_sent_counts_against_the_cap(box: DropBoxServer, make_sender: MakeSender, clock: FakeClock) -> None:
    sender = make_sender(box.url, bytes_per_day=100_000)
    for number in range(100):
        try:
            sender.put(f"a/{number}.json", DATA, KIND)
        except HeldBack as error:
            assert error.reason == "cap"
            break
    sent = len(box.puts)
    assert 20 <= sent <= 33
    sender.close()
    with pytest.raises(HeldBack, match="100000 bytes a day"):
        make_sender(box.url, bytes_per_day=100_000).put(PATH, DATA, KIND)
    clock.passes(86401)
    make_sender(box.url, bytes_per_day=100_000).put(PATH, DATA, KIND)
    assert len(box.puts) == sent + 1


def test_the_caller_may_stop_it(box: DropBoxServer, make_sender: MakeSender) -> None:
    def closed() -> None:
        raise HeldBack("window", "closed")

    with pytest.raises(HeldBack):
        make_sender(box.url, closed).put(PATH, DATA, KIND)
    assert box.puts == []


@pytest.mark.parametrize("path", ["../x", "a//b", "/a", "a/./b", "a\\b", ""])
def test_no_path_leads_out_of_the_box(box: DropBoxServer, make_sender: MakeSender, path: str) -> None:
    with pytest.raises(UpdateError, match="below the repository"):
        make_sender(box.url).put(path, DATA, KIND)
    assert box.puts == []


def test_a_server_in_trouble_when_it_is_asked_what_it_has(box: DropBoxServer, make_sender: MakeSender) -> None:
    box.plan(answers(412), answers(503))
    with pytest.raises(Unreachable, match="answered 503"):
        make_sender(box.url).put(PATH, DATA, KIND)
    assert box.fired == ["answers 412", "answers 503"]
