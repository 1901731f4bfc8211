"""Power cuts at the calls that change the disk: from one of them on, none does anything any more."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

WATCHED = ((io, "open"), (os, "fsync"), (os, "replace"), (os, "unlink"), (os, "mkdir"))


class PowerCut(BaseException):
    """The end of everything: no call after it does anything any more."""


@contextmanager
def cut_at(stop: int | None, names: list[str]) -> Iterator[None]:
    """Let every call that changes the disk fail from the one with the number `stop` on; note their names."""

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if name == "open" and "x" not in (*arguments[1:2], options.get("mode", "r"))[0]:
                return real(*arguments, **options)
            names.append(name)
            if stop is not None and len(names) > stop:
                raise PowerCut
            return real(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for module, name in WATCHED:
            patch.setattr(module, name, watched(name, getattr(module, name)))
        yield
