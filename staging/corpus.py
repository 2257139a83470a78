"""Signed documents for those who load the portal, made when first asked for and kept.

Knows documents.py and where the signers' keys lie. Each worker has its own.
"""

import threading
from pathlib import Path

from staging import pki
from staging.documents import make_document

COUNT_MAX = 200


class Corpus:
    """(name, signed PDF) of documents 0, 1, …; grows to the largest count asked for."""

    def __init__(self, pki_folder: Path) -> None:
        self._folder = pki_folder
        self._documents: list[tuple[str, bytes]] = []
        self._making = threading.Lock()

    def first(self, count: int) -> list[tuple[str, bytes]]:
        """The first `count` documents, at most COUNT_MAX. Blocks while it signs, some 30 ms a document."""
        with self._making:
            missing = range(len(self._documents), min(count, COUNT_MAX))
            if missing:
                chain = [pki.read_certificate(self._folder / "issuing.pem")]
                signers = [pki.read_signer(self._folder, number) for number in range(pki.SIGNERS)]
                self._documents += [make_document(each, signers[each % pki.SIGNERS], chain) for each in missing]
            return self._documents[:count]
