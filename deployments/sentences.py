"""pydantic's errors as sentences for people who write YAML: the key, what was expected, what was got, what to do."""

import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_EXPECTED: Mapping[str, str] = {
    "bool_type": "true or false",
    "expected": "{expected}",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "int_type": "a whole number",
    "invalid_key": "a key that is text",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "literal_error": "{expected}",
    "model_attributes_type": "keys and values",
    "model_type": "keys and values",
    "string_too_short": "text that is not empty",
    "string_type": "text",
    "too_short": "at least {min_length} entry",
    "tuple_type": "a list",
    "union_tag_invalid": "one of {expected_tags}",
}
_BRANCHES = {"str", "int", "float", "bool"}  # where a value may be any of these, pydantic reports each of them
_PLAIN_VALUE = "text, a number, or true or false"
_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80


def sentences(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return one sentence for each key that is wrong, in the order of the file."""
    return list(dict.fromkeys(_sentence(item, model) for item in error.errors() if not _follows_from_others(item)))


def _sentence(item: ErrorDetails, model: type[BaseModel]) -> str:
    key = ".".join(_path(item, model))
    cause = item.get("ctx", {}).get("error")
    match item["type"]:
        case "missing":
            return f"key `{key}` is missing; add it, it has no default"
        case "extra_forbidden":
            return f"key `{key}` is not known; remove it or correct its spelling"
        case "union_tag_not_found":
            return f"key `{key}` is missing; add it, it is one of {', '.join(_kinds(model, item['loc']))}"
        case "value_error" if isinstance(cause, ValidationError):
            return ". ".join(sentences(cause, model))
        case "value_error":
            return f"key `{key}`: {cause}" if key else str(cause)
    return f"key `{key}`: expected {_expected(item)}, got {_got(item)}; {_remedy(item)}"


def _expected(item: ErrorDetails) -> str:
    if _is_branch(item):
        return _PLAIN_VALUE
    form = _EXPECTED.get(item["type"])
    if form is None:
        return item["msg"].removeprefix("Input should be ")
    return form.format(**item.get("ctx", {})).replace("'", "")


def _got(item: ErrorDetails) -> str:
    value = item.get("ctx", {}).get("tag", item["input"])
    return "nothing" if value is None else _repr.repr(value)


def _remedy(item: ErrorDetails) -> str:
    if item["type"] in {"string_type", "invalid_key"} and isinstance(item["input"], bool | int | float):
        return "put it in quotes"
    return "correct the value"


def _path(item: ErrorDetails, model: type[BaseModel]) -> Iterator[str]:
    """The keys as they are written in the file: pydantic also names the kind that it took an entry for."""
    location = item["loc"][:-1] if _is_branch(item) else item["loc"]
    if item["type"] == "invalid_key":
        location = (*location[:-1], str(item["input"]))
    kinds = _kinds(model, location)
    for before, part in zip((None, *location), location, strict=False):
        if not ((isinstance(before, int) or before == location[0]) and part in kinds):
            yield str(part)
    if item["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        yield "kind"


def _kinds(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The kinds that the key at the beginning of a location may be, or the entries of its list."""
    properties: dict[str, Any] = model.model_json_schema()["properties"]
    key = properties.get(str(location[0]), {}) if location else {}
    entries = key.get("items", key)
    return list(entries.get("discriminator", {}).get("mapping", {}))


def _is_branch(item: ErrorDetails) -> bool:
    return item["loc"][-1:] != () and item["loc"][-1] in _BRANCHES and item["type"].endswith(("_type", "_parsing"))


def _follows_from_others(item: ErrorDetails) -> bool:
    """A list whose entries are all wrong is also reported as too short."""
    return item["type"] == "too_short" and bool(item["input"])
