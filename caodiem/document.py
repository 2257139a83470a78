"""A scenario file of any kind: what all of them have in common."""

import hashlib
import json
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


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
