"""Strict reading of JSON that others wrote: every key, type and bound is checked, and an error names the field."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from edge_runtime.errors import ReportError
from edge_runtime.settings import is_component

MOST_COUNT = 1 << 53
"""The largest whole number that every reader of JSON holds exactly."""
TIME = "%Y-%m-%dT%H:%M:%SZ"
"""The form of a time in UTC."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_SHOWN = 60  # characters
_MOST_SHOWN = 8  # items of a list


def strict_json(data: bytes, what: str) -> object:
    """Read JSON in which no key comes twice and every number is finite. Raises ReportError."""
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refused, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{what} must be JSON, and cannot be read: {str(error)[:200]}.") from error


def _refused(constant: str) -> object:
    raise ValueError(f"{constant} is no number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


class StrictRecord:
    """An object of JSON with exactly the expected keys; each method returns the value of one of them.

    Raises ReportError for another value than the expected one.
    """

    def __init__(self, value: object, where: str, keys: Sequence[str]) -> None:
        self._where = where
        if not isinstance(value, dict):
            raise ReportError(f"{where} must be an object with the keys {sorted(keys)}, not {_shown(value)}.")
        missing, unknown = sorted(set(keys) - set(value)), sorted(set(value) - set(keys))
        if missing or unknown:
            raise ReportError(
                f"{where} must have exactly the keys {sorted(keys)}: missing {missing}, unknown {_shown(unknown)}."
            )
        self._value: Mapping[str, object] = value

    def has(self, key: str) -> bool:
        """Tell whether a value is not null."""
        return self._value[key] is not None

    def value(self, key: str) -> object:
        """Return a value unchecked, for another reader."""
        return self._value[key]

    def where(self, key: str) -> str:
        """Return the name of a field, for errors."""
        return f"{self._where}.{key}"

    def text(self, key: str, most: int, *, may_be_empty: bool = False) -> str:
        """Return a text of printable characters."""
        value = self._value[key]
        if isinstance(value, str) and len(value) <= most and (value.isprintable() if value else may_be_empty):
            return value
        raise self._wrong(key, f"a text of {0 if may_be_empty else 1} to {most} printable characters")

    def component(self, key: str) -> str:
        """Return a name that can be one part of a path."""
        value = self._value[key]
        if isinstance(value, str) and is_component(value):
            return value
        raise self._wrong(key, "a name of 1 to 128 letters, digits, dots, dashes or underscores")

    def sha256(self, key: str, *, may_be_empty: bool = False) -> str:
        """Return a sha256 of 64 lower-case hex digits."""
        value = self._value[key]
        if isinstance(value, str) and (_SHA256.fullmatch(value) or (may_be_empty and not value)):
            return value
        raise self._wrong(key, "64 lower-case hex digits")

    def time(self, key: str) -> str:
        """Return a time in UTC such as 2026-11-27T22:01:45Z."""
        value = self._value[key]
        try:
            if isinstance(value, str) and _TIME.fullmatch(value):
                datetime.strptime(value, TIME)
                return value
        except ValueError:
            pass
        raise self._wrong(key, "a time in UTC such as 2026-11-27T22:01:45Z")

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """Return one of some texts."""
        value = self._value[key]
        if isinstance(value, str) and value in choices:
            return value
        raise self._wrong(key, f"one of {', '.join(choices)}")

    def whole(self, key: str, least: int = 0, most: int = MOST_COUNT) -> int:
        """Return a whole number within bounds."""
        return _whole(self._value[key], self.where(key), least, most)

    def number(self, key: str) -> float:
        """Return a finite number."""
        return _number(self._value[key], self.where(key))

    def items(self, key: str, most: int, least: int = 0) -> list[tuple[object, str]]:
        """Return the items of a list, each with its name for errors."""
        value = self._value[key]
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise self._wrong(key, f"a list of {least} to {most} items")
        return [(item, f"{self.where(key)}[{index}]") for index, item in enumerate(value)]

    def wholes(self, key: str, most: int, least: int = 0) -> tuple[int, ...]:
        """Return the whole numbers, 0 or above, of a list."""
        return tuple(_whole(item, where, 0, MOST_COUNT) for item, where in self.items(key, most, least))

    def numbers(self, key: str, most: int, least: int = 0) -> tuple[float, ...]:
        """Return the finite numbers of a list."""
        return tuple(_number(item, where) for item, where in self.items(key, most, least))

    def _wrong(self, key: str, expected: str) -> ReportError:
        return ReportError(f"{self.where(key)} must be {expected}, not {_shown(self._value[key])}.")


def _whole(value: object, where: str, least: int, most: int) -> int:
    if type(value) is int and least <= value <= most:
        return value
    raise ReportError(f"{where} must be a whole number from {least} to {most}, not {_shown(value)}.")


def _number(value: object, where: str) -> float:
    if type(value) in (int, float):
        try:
            number = float(value)  # type: ignore[arg-type]
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise ReportError(f"{where} must be a finite number, not {_shown(value)}.")


def _shown(value: object) -> str:
    """Return what was got, short: another wrote it, and it may be long."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list) and len(value) > _MOST_SHOWN:
        return f"a list of {len(value)} items"
    if isinstance(value, int) and abs(value) > 1 << 64:
        return "a far larger one"
    shown = ascii(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
