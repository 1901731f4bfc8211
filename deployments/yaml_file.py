"""YAML files into frozen models, with errors as sentences that name the file, the key and the remedy."""

import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from deployments.errors import ConfigurationError
from deployments.yaml_loader import load_yaml, read_text

Model = TypeVar("Model", bound=BaseModel)

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


class Frozen(BaseModel):
    """Configuration: immutable, nothing converted silently, and a key that nobody reads is an error.

    The docstring below each field is the key's description in the reference and in the JSON Schema.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def stated(value: object) -> Any:
    """Return a model as plain values, without the keys that have their defaults; a `kind` is always a part of it.

    A key that a release adds with a default changes nothing in it, so digests of it stay.
    """
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        given = {name: getattr(value, name) for name in fields}
        return {
            name: stated(part)
            for name, part in given.items()
            if name == "kind" or part != fields[name].get_default(call_default_factory=True)
        }
    if isinstance(value, Mapping):
        return {str(key): stated(part) for key, part in value.items()}
    return [stated(part) for part in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class WrittenAs:
    """Annotation of a text that matches `pattern` as a whole; `expected` tells people what that is."""

    pattern: str
    expected: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the text after pydantic has read it."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Give editors the pattern too."""
        return handler(schema) | {"pattern": f"^(?:{self.pattern})$"}

    def _checked(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text, re.ASCII):
            raise PydanticCustomError("expected", "expected {expected}", {"expected": self.expected})
        return text


def read_yaml(path: Path, model: type[Model]) -> Model:
    """Read one YAML file into `model`.

    Raises:
        ConfigurationError: the file cannot be read or is not valid; the message names file, key and remedy.
    """
    checked: Model = _checked(path, _text(path), model)
    return checked


def read_mapping(path: Path) -> dict[str, Any]:
    """Read the keys and values of one YAML file.

    Raises:
        ConfigurationError: the file cannot be read, or is not a mapping.
    """
    return _mapping(path, _text(path))


@lru_cache(maxsize=1024)
def _checked(path: Path, text: str, model: type[Model]) -> Model:
    """Check a file's text: a device profile is the same for each of the many recipes that name it."""
    return validated(path, _mapping(path, text), model)


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: expected a YAML file, got no such file; check the path") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: expected a readable YAML file, got {error}; check the file") from error


def _mapping(path: Path, text: str) -> dict[str, Any]:
    try:
        content = load_yaml(text)
    except ValueError as error:
        raise ConfigurationError(f"{path}: expected a readable YAML file, got {error}; check the file") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: expected valid YAML, got {_one_line(error)}") from error
    if not isinstance(content, dict):
        found = {"NoneType": "an empty file", "list": "a list", "str": "text"}.get(
            type(content).__name__, repr(content)
        )
        raise ConfigurationError(f"{path}: expected keys and values, got {found}; start from a shipped example")
    return content


def validated(path: Path, content: dict[str, Any], model: type[Model]) -> Model:
    """Check the content of a file against `model`.

    Raises:
        ConfigurationError: one sentence for each key that is wrong.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        if content and not content.keys() & model.model_fields.keys():  # its content may be somebody's secret
            raise ConfigurationError(
                f"{path}: expected the keys of a {model.__name__.lower()}, got a file that has none of them; check the "
                "path"
            ) from None
        first, *more = _sentences(error, model)
        rest = "".join(f". {sentence[0].upper()}{sentence[1:]}" for sentence in more)
        raise ConfigurationError(f"{path}: {first}{rest}") from error


def _one_line(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark, problem = error.problem_mark, str(error.problem).removeprefix("but found ")
        return f"{problem} in line {mark.line + 1}, column {mark.column + 1}; {error.note or 'correct it there'}"
    if isinstance(error, yaml.reader.ReaderError):
        return f"an unprintable character at position {error.position}; remove it"
    return f"{' '.join(str(error).split())}; correct it there"


def _sentences(error: ValidationError, model: type[BaseModel]) -> list[str]:
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
            return ". ".join(_sentences(cause, model))
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
    """Yield the keys as they are written in the file: pydantic also names the kind that it took an entry for."""
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
    """Return the kinds that the key at the beginning of a location may be, or the entries of its list."""
    properties: dict[str, Any] = model.model_json_schema()["properties"]
    key = properties.get(str(location[0]), {}) if location else {}
    entries = key.get("items", key)
    return list(entries.get("discriminator", {}).get("mapping", {}))


def _is_branch(item: ErrorDetails) -> bool:
    return item["loc"][-1:] != () and item["loc"][-1] in _BRANCHES and item["type"].endswith(("_type", "_parsing"))


def _follows_from_others(item: ErrorDetails) -> bool:
    """Tell a list whose entries are all wrong: pydantic reports it as too short as well."""
    return item["type"] == "too_short" and bool(item["input"])
