"""Who may have signed what is handed in: one agency's officers, or the applicant and agencies.

Knows the signers of a verdict (signers.py). The last signature of a document is the one over all of it: whoever signed
before may have signed less. That a form is signed by who fills it in follows from the rules on electronic dossiers
(regulation-account-source); nothing published says how somebody else would be authorised, so nobody else is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from staging import reasons
from staging.signers import Signer


class Signatory(Protocol):
    """Says what is wrong with who signed, in the words of a refusal; empty when nothing is. Its text says who may."""

    def fault(self, last: Signer | None) -> str:
        """Of one document, by its last signer; None when the verdict names nobody."""
        ...

    def lack(self, last: Sequence[Signer | None]) -> str:
        """Of all documents handed in together, by the last signer of each."""
        ...


@dataclass(frozen=True, slots=True)
class Officers:
    """The officers of one agency."""

    agency: str

    def fault(self, last: Signer | None) -> str:
        if last is not None and last.agency == self.agency:
            return ""
        return f"{reasons.OTHER_AGENCY} (signed by {last}, expected {self.agency})"

    def lack(self, last: Sequence[Signer | None]) -> str:
        return ""

    def __str__(self) -> str:
        return f"an officer of {self.agency}"


@dataclass(frozen=True, slots=True)
class Applicant:
    """The citizen with this number; and agencies, whose papers citizens hand in. `must_sign`: agencies' papers alone
    are no application.
    """

    number: str
    must_sign: bool = False

    def fault(self, last: Signer | None) -> str:
        if last is not None and (last.number == self.number or last.agency):
            return ""
        return f"{reasons.NOT_APPLICANT} (signed by {last}, expected {self})"

    def lack(self, last: Sequence[Signer | None]) -> str:
        if not self.must_sign or any(each is not None and each.number == self.number for each in last):
            return ""
        return f"no component is signed by the applicant, {self.number}; expected the application to be"

    def __str__(self) -> str:
        return f"{self.number}, who hands it in, or an officer of the agency that issued it"
