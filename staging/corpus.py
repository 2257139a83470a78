"""Signed documents for those who load the portal: papers that an agency issued, and what somebody signs to order.

Knows documents.py and where keys lie. Each worker has its own papers, made when first asked for and kept.
"""

import threading
from collections.abc import Iterable
from pathlib import Path

from staging import pki

COUNT_MAX = 200
# The agency that issued the papers; no dossier is filed with it.
ISSUER = "G00"


class Corpus:
    """(name, signed PDF) of documents. Some 30 ms a document, for which its calls block."""

    def __init__(self, pki_folder: Path) -> None:
        self._folder = pki_folder
        self._papers: list[tuple[str, bytes]] = []
        self._making = threading.Lock()

    def first(self, count: int) -> list[tuple[str, bytes]]:
        """The first `count` papers, at most COUNT_MAX; there are as many as the largest count asked for."""
        with self._making:
            missing = range(len(self._papers), min(count, COUNT_MAX))
            if missing:
                authority, key = pki.read_issued(self._folder, "remote"), pki.read_signer(self._folder, 0).key
                self._papers += self.signed(missing, pki.make_signer("Nơi cấp", authority, agency=ISSUER, key=key))
            return self._papers[:count]

    def signed(self, numbers: Iterable[int], signer: pki.Issued) -> list[tuple[str, bytes]]:
        """The documents with these numbers, signed by who has a certificate of the remote authority."""
        from staging import documents  # with all of pyHanko, which a portal that nobody loads does not need

        chain = [pki.read_certificate(self._folder / "remote.pem")]
        return [documents.make_document(number, signer, chain) for number in numbers]
