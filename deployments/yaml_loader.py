"""YAML read with nothing that surprises: bounded, without types that configuration does not have, one meaning each."""

import os
import re
import stat
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 1 << 20
MOST_LEVELS = 50
MOST_NODES = 10_000
MOST_DIGITS = 18
LONGEST = 40

_BASE = "tag:yaml.org,2002:"
_FLOAT = _BASE + "float"
_EXPONENT = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
_DECIMAL = re.compile(r"^[-+]?(0|[1-9]\d*)$")
_PLAIN = {_BASE + name for name in ("str", "int", "float", "bool", "null", "seq", "map", "merge")}


class _Loader(yaml.SafeLoader):
    """Loader of keys, lists, texts, numbers, and true or false.

    It refuses what YAML lets pass or reads in two ways: a key written twice, a date, a number that is octal in one
    release of YAML and decimal in the next, and aliases that grow into more than 10,000 values. It reads 1e-3 as a
    number. Every refusal is a MarkedYAMLError with its line; its note is the remedy, where it has one.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._level = self._nodes = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        self._level, self._nodes = self._level + 1, self._nodes + 1
        if self._level > MOST_LEVELS:
            raise _refused(f"lists and keys nested deeper than {MOST_LEVELS} levels", event.start_mark)
        node = super().compose_node(parent, index)
        self._level -= 1
        if isinstance(event, yaml.AliasEvent) and id(node) not in self._sizes:
            raise _refused(f"the alias `*{event.anchor}` inside its own anchor", event.start_mark)
        self._sizes[id(node)] = size = self._size(node)
        if max(size, self._nodes) > MOST_NODES:
            raise _refused(f"more than {MOST_NODES:,} values, aliases written out", event.start_mark)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise _refused(f"key `{key.value}` is written twice", key.start_mark)
            seen.add(key.value)
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        kind = node.tag.removeprefix(_BASE)
        if node.tag == _BASE + "timestamp":
            raise _refused(f"the date `{_short(node.value)}`", node.start_mark, "put it in quotes")
        if node.tag not in _PLAIN:
            raise _refused(f"a value of the type `{_short(kind)}`, which no key takes", node.start_mark)
        if kind == "int" and len(node.value) > MOST_DIGITS:
            raise _refused(f"a number of {len(node.value):,} digits", node.start_mark)
        try:
            value = super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise _refused(f"`{_short(node.value)}` where the tag says {kind}", node.start_mark) from error
        _check_reading(node, kind)
        return value

    def _size(self, node: yaml.Node | None) -> int:
        match node:
            case yaml.MappingNode():
                return 1 + sum(self._sizes[id(each)] for pair in node.value for each in pair)
            case yaml.SequenceNode():
                return 1 + sum(self._sizes[id(each)] for each in node.value)
        return 1


class _QuickLoader(_Loader):
    """Loader whose events are libyaml's, several times as fast: a plan reads many recipes."""

    def __init__(self, stream: str) -> None:
        super().__init__("")
        parser = yaml.CSafeLoader(stream)
        for name in ("check_event", "peek_event", "get_event"):
            setattr(self, name, getattr(parser, name))


_Loader.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+.0123456789"))


def _check_reading(node: yaml.Node, kind: str) -> None:
    """Refuse what programs read differently: 010 (8 or 10), 1:30 (90 or text), 1_000, 0x1f, and half a character."""
    written = node.value
    if (kind == "int" and not _DECIMAL.match(written)) or (kind == "float" and set("_:") & set(written)):
        raise _refused(
            f"the number `{_short(written)}`, which may be read in two ways",
            node.start_mark,
            "write decimal digits, or put it in quotes",
        )
    if kind == "str" and any("\ud800" <= character <= "\udfff" for character in written):
        raise _refused("text with half of a character (a lone surrogate)", node.start_mark)


def _short(written: object) -> str:
    text = " ".join(str(written).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _refused(problem: str, mark: Any, remedy: str | None = None) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark, note=remedy)


def load_yaml(text: str) -> Any:
    """Return the content of YAML. Raises yaml.YAMLError, and ValueError for a value that no YAML can mean."""
    try:
        return yaml.load(text, Loader=_QuickLoader if yaml.__with_libyaml__ else _Loader)
    except yaml.YAMLError:  # people get the words of the other parser, which name more
        return yaml.load(text, Loader=_Loader)


def read_text(path: Path) -> str:
    """Read a file of text. Raises OSError or ValueError for another one, such as a pipe, which might never end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        kind = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(kind):
            raise ValueError("a directory" if stat.S_ISDIR(kind) else "a pipe or a device")
        content = os.read(descriptor, MOST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES:,} bytes")
    return content.decode("utf-8")
