"""Strict reading of a TOML table: each key is taken once with its type, and what is left over is a mistake."""

import re
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Any

from edge_runtime.errors import BadConfiguration

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_MOST_TEXT = 4096


class ConfigurationTable:
    """A table of a TOML document. Every reader raises BadConfiguration, and marks its key as read."""

    def __init__(self, source: str, name: str, content: Mapping[str, Any]) -> None:
        self._source, self._name, self._content = source, name, content
        self._read: set[str] = set()

    def has(self, key: str) -> bool:
        """Tell whether the key is there."""
        return key in self._content

    def close(self, expected: str = "") -> None:
        """Raise BadConfiguration where the table has a key that nobody has read."""
        unknown = sorted(set(self._content) - self._read)
        if unknown:
            known = expected or f"one of {', '.join(sorted(self._read))}"
            raise BadConfiguration(f"{self._source}: expected {known}, got {self._full(unknown[0])!r}; mend it.")

    def wrong(self, key: str, expected: str, found: object) -> BadConfiguration:
        """Return the error about a key's value."""
        return BadConfiguration(f"{self._source}: {self._full(key)}: expected {expected}, got {found!r}; mend it.")

    def table(self, key: str) -> "ConfigurationTable":
        """Return the table below a key; an empty one where the key is missing."""
        value = self._value(key, {}, "a table")
        if not isinstance(value, dict):
            raise self.wrong(key, "a table", value)
        return ConfigurationTable(self._source, self._full(key), value)

    def text(self, key: str, pattern: re.Pattern[str] | None, expected: str, default: str | None = None) -> str:
        """Return a printable text, one that the whole pattern matches; an empty one only where it is the default."""
        value = self._value(key, default, expected)
        if default is not None and value == default:
            return default
        if not isinstance(value, str) or not 0 < len(value) <= _MOST_TEXT or not value.isprintable():
            raise self.wrong(key, expected, value)
        if pattern is not None and not pattern.fullmatch(value):
            raise self.wrong(key, expected, value)
        return value

    def texts(
        self, key: str, pattern: re.Pattern[str], expected: str, default: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        """Return a list of different texts that the pattern matches; an empty one only where it is the default."""
        value = self._value(key, default, expected)
        if default is not None and not value:
            return default
        if not isinstance(value, list) or not value or len(set(map(str, value))) != len(value):
            raise self.wrong(key, f"a list of different {expected}", value)
        if not all(isinstance(each, str) and pattern.fullmatch(each) for each in value):
            raise self.wrong(key, f"a list of {expected}", value)
        return tuple(value)

    def text_or_number(self, key: str, pattern: re.Pattern[str], expected: str) -> str:
        """Return a whole number of 1 or more as text, or a text that the pattern matches."""
        value = self._value(key, None, expected)
        if type(value) is int and value > 0:
            return str(value)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self.wrong(key, expected, value)
        return value

    def number(self, key: str, default: float, least: float, most: float) -> float:
        """Return a number within bounds."""
        value = self._value(key, default, "a number")
        if type(value) not in (int, float) or not least <= value <= most:  # a NaN is in no bounds
            raise self.wrong(key, f"a number from {least:g} to {most:g}", value)
        return float(value)

    def whole(self, key: str, least: int, most: int, default: int | None = None) -> int:
        """Return a whole number within bounds."""
        value = self._value(key, default, "a whole number")
        if type(value) is not int or not least <= value <= most:
            raise self.wrong(key, f"a whole number from {least} to {most}", value)
        return value

    def wholes(self, key: str, least: int, most: int) -> tuple[int, ...]:
        """Return a list of different whole numbers within bounds; an empty one where the key is missing."""
        value = self._value(key, [], "a list of whole numbers")
        if not isinstance(value, list) or not all(type(each) is int and least <= each <= most for each in value):
            raise self.wrong(key, f"a list of whole numbers from {least} to {most}", value)
        return tuple(dict.fromkeys(value))

    def truth(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._value(key, default, "true or false")
        if type(value) is not bool:
            raise self.wrong(key, "true or false", value)
        return value

    def path(self, key: str, default: Path | None = None) -> Path:
        """Return an absolute path; a service has no folder of its own to begin from."""
        value = self._value(key, default, "an absolute path")
        if isinstance(value, Path):
            return value
        if not isinstance(value, str) or not value.startswith("/") or not value.isprintable():
            raise self.wrong(key, "an absolute path", value)
        return Path(value)

    def time_of_day(self, key: str) -> time:
        """Return a time such as "23:00"."""
        value = self._value(key, None, 'a time such as "23:00"')
        found = _TIME.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise self.wrong(key, 'a time such as "23:00"', value)
        return time(int(found[1]), int(found[2]))

    def _full(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def _value(self, key: str, default: object, expected: str) -> Any:
        self._read.add(key)
        if key in self._content:
            return self._content[key]
        if default is None:
            raise BadConfiguration(f"{self._source}: expected {self._full(key)} ({expected}), got none; add it.")
        return default
