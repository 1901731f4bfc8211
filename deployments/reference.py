"""Reference of every key of recipes and device profiles, generated from the models that read them.

The same description of a key, its attribute docstring, goes into the JSON Schema, which editors complete and check
YAML files with, and into the Markdown page of the documentation. A new rung or gate needs no edit here.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from deployments.device import DeviceProfile
from deployments.recipe import FEWEST, Recipe

Document: TypeAlias = Literal["recipe", "device"]
DOCUMENTS: tuple[Document, ...] = get_args(Document)
_MODELS: Mapping[Document, type[BaseModel]] = {"recipe": Recipe, "device": DeviceProfile}
_OF_A_MEMBER = ("workload", "gates")
_NOT_OF_A_FAMILY = ("workload", "distil")
_TYPES = {"boolean": "true or false", "integer": "whole number", "number": "number", "string": "text"}
_BOUNDS = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}


def schema(document: Document) -> dict[str, Any]:
    """Return the JSON Schema of a YAML file of this kind.

    It refuses what can be seen in one file without running the checks of the models: unknown and missing keys, types,
    bounds, and spellings of fixed words.
    """
    found = _MODELS[document].model_json_schema(schema_generator=_Untitled)
    if document == "recipe":  # a file names its devices; read_recipe puts the profiles in their place
        found["properties"]["devices"]["items"] = {"type": "string", "minLength": 1}
        _tell_families(found)
    for definition in _needed(found):
        required = found["$defs"][definition].setdefault("required", [])
        required += [] if "kind" in required else ["kind"]
    used = _sections(found)
    found["$defs"] = {name: definition for name, definition in found["$defs"].items() if name in used}
    for definition in found["$defs"].values():
        _describe_kind(definition)
    return {"$schema": GenerateJsonSchema.schema_dialect, "title": f"Edgewright {document}", **found}


def _tell_families(found: JsonSchemaValue) -> None:
    """Ask a file with `members` for several of them, and one without for what each of them has."""
    found["required"] = [key for key in found["required"] if key not in _OF_A_MEMBER]
    found["if"] = {"required": ["members"]}
    refused = {"anyOf": [{"required": [key]} for key in _NOT_OF_A_FAMILY]}
    found["then"] = {"not": refused, "properties": {"members": {"minItems": FEWEST}}}
    found["else"] = {"required": list(_OF_A_MEMBER)}


def write_schemas(folder: Path) -> list[Path]:
    """Write `recipe.schema.json` and `device.schema.json` into a folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{document}.schema.json" for document in DOCUMENTS]
    for document, path in zip(DOCUMENTS, paths, strict=True):
        path.write_text(json.dumps(schema(document), indent=2) + "\n", encoding="utf-8")
    return paths


def page(document: Document) -> str:
    """Return the Markdown page with a table of keys for the file and for each part of it."""
    whole = schema(document)
    sections = _sections(whole)
    parts = [
        f"# Keys of a {document}",
        f"Generated from the models that read the file. `edgewright schemas` writes the same as a JSON Schema.\n\n"
        f"{_text(whole)}",
        _table(whole, sections),
    ]
    for name, section in sections.items():
        definition = whole["$defs"][name]
        parts += [f"## {section.title} {{#{section.anchor}}}", _text(definition), _without_own_keys(definition)]
        parts.append(_table(definition, sections))
    return "\n\n".join(part for part in parts if part) + "\n"


@dataclass(frozen=True)
class _Section:
    """A section of a page: a part of the file, under the key that leads to it first; `listed` where that is a list."""

    key: str
    kind: str | None
    listed: bool

    @property
    def title(self) -> str:
        return f"`{self.key}`" if self.kind is None else f"`{self.key}`, kind `{self.kind}`"

    @property
    def anchor(self) -> str:
        """The end of links to the section, such as gate-flips or prune."""
        entry = self.key.removesuffix("s") if self.listed else self.key
        return entry if self.kind is None else f"{entry}-{self.kind}"


class _Untitled(GenerateJsonSchema):
    """JSON Schema without a title per field, which would only repeat its key."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def _needed(whole: JsonSchemaValue) -> Iterator[str]:
    """Yield the parts that are chosen by their `kind`: without that key nobody can say which one is meant."""
    for node in _nodes(whole):
        for reference in node.get("discriminator", {}).get("mapping", {}).values():
            yield _name(reference)


def _nodes(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nodes(part)


def _sections(whole: JsonSchemaValue) -> dict[str, _Section]:
    """Name each part by the key that leads to it first, and its kind where it has several; in reading order."""
    sections: dict[str, _Section] = {}

    def visit(part: JsonSchemaValue) -> None:
        for key, value in part.get("properties", {}).items():
            for kind, name in _references(value):
                if name not in sections:
                    sections[name] = _Section(key, kind, listed=value.get("type") == "array")
                    visit(whole["$defs"][name])

    visit(whole)
    return sections


def _describe_kind(definition: JsonSchemaValue) -> None:
    """Give the key `kind` a meaning where its model has none: a name needs no text of its own."""
    kind = definition.get("properties", {}).get("kind", {})
    if "const" in kind:
        kind.setdefault("description", f"Name of this kind: `{kind['const']}`.")


def _without_own_keys(definition: JsonSchemaValue) -> str:
    return "It has no keys of its own." if list(definition.get("properties", {})) == ["kind"] else ""


def _references(value: JsonSchemaValue) -> Iterator[tuple[str | None, str]]:
    """Yield the parts that the value of a key may be or hold, with their kinds."""
    if "discriminator" in value:
        yield from ((kind, _name(reference)) for kind, reference in _kinds(value))
    elif "$ref" in value:
        yield None, _name(value["$ref"])
    for inner in (*value.get("anyOf", ()), value.get("items")):
        if inner:
            yield from _references(inner)


def _kinds(value: JsonSchemaValue) -> list[tuple[str, str]]:
    """Return kinds and references in the order of the union, which the mapping does not keep."""
    by_reference = {reference: kind for kind, reference in value["discriminator"]["mapping"].items()}
    return [(by_reference[one["$ref"]], one["$ref"]) for one in value["oneOf"]]


def _table(part: JsonSchemaValue, sections: Mapping[str, _Section]) -> str:
    rows = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    keys = sorted(part.get("properties", {}).items(), key=lambda item: item[0] != "kind")  # the kind first
    for key, value in keys:
        default = "**needed**" if key in part.get("required", ()) else _default(value)
        default = "**needed** without `members`" if key in part.get("else", {}).get("required", ()) else default
        cells = f"`{key}`", _value(value, sections), default, _text(value)
        rows.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(rows)


def _default(value: JsonSchemaValue) -> str:
    default = value.get("default")
    return "-" if default is None else f"`{json.dumps(default)}`".replace('"', "")


def _value(value: JsonSchemaValue, sections: Mapping[str, _Section]) -> str:
    """Say in words what may be written for a key."""
    match value:
        case {"$ref": reference}:
            section = sections[_name(reference)]
            return f"[{section.title}](#{section.anchor})"
        case {"discriminator": _}:
            kinds = [(kind, sections[_name(reference)]) for kind, reference in _kinds(value)]
            return "; ".join(f"[`{kind}`](#{section.anchor})" for kind, section in kinds)
        case {"const": constant}:
            return f"`{constant}`"
        case {"enum": words}:
            return " or ".join(f"`{word}`" for word in words)
        case {"anyOf": options}:
            return " or ".join(_value(option, sections) for option in options if option.get("type") != "null")
        case {"examples": [example, *_]}:
            return f"text such as `{example}`"
        case {"type": "array", "items": items}:
            return f"list of: {_value(items, sections)}"
        case {"type": "object", "additionalProperties": {"type": _} as values}:
            keys = [f"`{key}`" for key in value.get("propertyNames", {}).get("enum", ())]
            each = f"of {', '.join(keys)}" if keys else "name"
            return f"{_value(values, sections)}, for each {each}"
    bounds = [f"{words} {value[bound]:g}" for bound, words in _BOUNDS.items() if bound in value]
    return " ".join([_TYPES.get(value.get("type", ""), "any value"), " and ".join(bounds)]).strip()


def _text(part: JsonSchemaValue) -> str:
    return str(part.get("description", ""))


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]
