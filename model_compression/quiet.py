"""Suppression of other libraries' log lines, warnings and prints; their errors still get through."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Suppress warnings and prints, and let these loggers report errors only, until the context ends.

    The empty name is the root logger.
    """
    levels = {name: logging.getLogger(name).level for name in loggers}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for name in loggers:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
