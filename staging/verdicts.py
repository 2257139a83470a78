"""The verdict on a signed document, whichever way it was judged: valid and by whom, or the reasons why not.

Knows signers.py. No verdict is kept: each holds for the moment at which it was asked.
"""

from dataclasses import dataclass

from staging import signers
from staging.signers import Signer


@dataclass(frozen=True, slots=True)
class Verdict:
    """`certificates`: those (DER) that a valid document was signed with, in the order of its signatures. The last
    signature is the one that covers all of the document. An invalid document has none: nobody vouches for it.
    """

    valid: bool
    reasons: tuple[str, ...] = ()
    certificates: tuple[bytes, ...] = ()

    @property
    def signers(self) -> tuple[Signer, ...]:
        """Who signed, in the order of the signatures. Read when asked for."""
        return tuple(signers.read(each) for each in self.certificates)


def of(faults: tuple[str, ...], *certificates: bytes) -> Verdict:
    """Valid, signed with these certificates, unless there are faults."""
    return Verdict(False, faults) if faults else Verdict(True, (), certificates)
