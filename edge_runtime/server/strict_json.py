"""Strict reading of JSON: UTF-8, no NaN, no name twice, and an error for whatever breaks the parser."""

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from edge_runtime.errors import BadRequest


def parse_json(data: bytes | bytearray | memoryview) -> Any:
    """Return the value of a JSON text; a number too large for its type is infinite. Raises BadRequest."""
    try:
        return json.loads(str(data, "utf-8"), parse_constant=_refuse, object_pairs_hook=_object)
    except BadRequest:
        raise
    except RecursionError as error:
        raise BadRequest("The body: expected JSON with few levels, got too many inside each other.") from error
    except ValueError as error:  # json's own, bytes that are no UTF-8, and integers of too many digits
        at = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise BadRequest(f"The body: expected a JSON text in UTF-8, got something else{at}.") from error


def _refuse(constant: str) -> NoReturn:
    raise BadRequest(f"The body: expected numbers, got {constant}, which is no JSON; send such values as binary data.")


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadRequest("The body: expected each name of an object once, got one twice.")
    return found
