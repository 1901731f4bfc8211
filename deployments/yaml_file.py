"""YAML into frozen models, with errors that name file, key and remedy."""

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from deployments.errors import ConfigurationError
from deployments.sentences import sentences

Model = TypeVar("Model", bound=BaseModel)

_FLOAT = "tag:yaml.org,2002:float"
_EXPONENT = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")


class Frozen(BaseModel):
    """Configuration: immutable, nothing converted silently, and a key that nobody reads is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def written_as(pattern: str, expected: str) -> AfterValidator:
    """A text that matches `pattern` as a whole; `expected` says to people what that is."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise PydanticCustomError("expected", "expected {expected}", {"expected": expected})
        return text

    return AfterValidator(check)


class _Loader(yaml.SafeLoader):
    """Refuses a key written twice, of which YAML would silently keep the last, and takes 1e-3 for a number."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key `{key.value}` is written twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return node


_Loader.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+.0123456789"))


def read_yaml(path: Path, model: type[Model]) -> Model:
    """Read one YAML file into `model`; raises ConfigurationError naming the file, the key and the remedy."""
    return validated(path, read_mapping(path), model)


def read_mapping(path: Path) -> dict[str, Any]:
    """Read the keys and values of one YAML file; raises ConfigurationError."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: expected a YAML file, got no such file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: expected a readable YAML file, got {error}; check the file") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: expected valid YAML, got {_one_line(error)}; correct it there") from error
    if not isinstance(content, dict):
        found = {"NoneType": "an empty file", "list": "a list", "str": "text"}.get(
            type(content).__name__, repr(content)
        )
        raise ConfigurationError(f"{path}: expected keys and values, got {found}; start from a shipped example")
    return content


def validated(path: Path, content: dict[str, Any], model: type[Model]) -> Model:
    """Check what a file says against `model`; raises ConfigurationError."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first, *more = sentences(error, model)
        rest = "".join(f". {sentence[0].upper()}{sentence[1:]}" for sentence in more)
        raise ConfigurationError(f"{path}: {first}{rest}") from error


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    return f"{error.problem} in line {mark.line + 1}, column {mark.column + 1}"  # type: ignore[attr-defined]
