"""Bodies of answers, as portal classes read them."""

import json
from typing import Any


def json_object(body: bytes) -> dict[str, Any]:
    """The object that a body holds; empty when it holds none, so that a check says what it misses."""
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
