from pathlib import Path

from flows.services.service_logs import LARGEST, keep_short, last_words, log_of


def test_a_long_log_becomes_the_older_part_while_its_writer_goes_on(tmp_path: Path) -> None:
    log = log_of(tmp_path, "mlflow")
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * (LARGEST + 1))
        keep_short(log)
        writer.write(b"after\n")
    assert log.read_bytes() == b"after\n"
    assert (tmp_path / "mlflow.log.1").stat().st_size == LARGEST + 1


def test_a_short_log_stays(tmp_path: Path) -> None:
    log = log_of(tmp_path, "mlflow")
    keep_short(log)
    log.write_text("x")
    keep_short(log)
    assert log.read_text() == "x" and len(list(tmp_path.iterdir())) == 1


def test_the_last_words_are_the_last_line_that_says_something(tmp_path: Path) -> None:
    log = log_of(tmp_path, "mlflow")
    assert last_words(log) == ""
    log.write_bytes(b"first\n" * 10_000 + b"\xffport is taken\n\n  \n")
    assert last_words(log).endswith("port is taken")
    log.write_text("y" * 9000)
    assert len(last_words(log)) == 200
