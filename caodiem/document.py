"""A scenario file of any kind: what all of them have in common."""

import hashlib
import json
import unicodedata
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict

_LONGEST_NAME = 200


def _one_line(name: str) -> str:
    """ValueError for a name that would break a table, a terminal or a picture."""
    if not name.strip():
        raise ValueError("a text that is not empty")
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"at most {_LONGEST_NAME} letters")
    if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in name):
        raise ValueError("one line, without control characters")
    return name


# What a station, a journey or a series is called.
Name = Annotated[str, AfterValidator(_one_line)]


class Part(BaseModel):
    """Base of every table of a scenario: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)


class Document(Part):
    """Base of a whole scenario file of one kind. `own_numbers`: whether a number may have the source `own`."""

    own_numbers: ClassVar[bool] = False

    def contradictions(self) -> list[tuple[str, object, str]]:
        """(key, value, what is expected) of values that are fine alone and wrong together."""
        return []

    @property
    def hash(self) -> str:
        """SHA-256 of the resolved values; comments and layout of the file do not change it."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
