"""Lines of a flow run's log: the pipeline's own from INFO on, and no traceback for an error that is a sentence."""

import logging
from collections.abc import Iterator

import pytest

from deployments.errors import ConfigurationError
from flows.watch.run_log import PAGES, show_own_lines


@pytest.fixture(autouse=True)
def _loggers_as_they_were(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logging.getLogger("edgewright"), "level", logging.NOTSET)
    before = {name: logging.getLogger(name).filters[:] for name in PAGES}
    yield
    for name, filters in before.items():
        logging.getLogger(name).filters = filters


def test_the_own_lines_are_logged_from_info_on_and_those_of_libraries_from_warning_on() -> None:
    show_own_lines()
    assert logging.getLogger("edgewright").isEnabledFor(logging.INFO)
    assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("error", "kept"), [(ConfigurationError("a sentence"), False), (ValueError("a bug"), True)])
def test_only_an_error_that_nobody_foresaw_keeps_its_traceback(name: str, error: Exception, kept: bool) -> None:
    logger = logging.getLogger(name)
    show_own_lines()
    show_own_lines()  # a process may run several flows
    record = logger.makeRecord(name, logging.ERROR, "", 0, "it failed: %r", (error,), (type(error), error, None))
    assert logger.filter(record)
    assert bool(record.exc_info) == kept and str(error) in record.getMessage()
    assert len(set(logger.filters)) == len(logger.filters)
