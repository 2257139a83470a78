"""Whether a signed document is valid: one verdict type, the short way first, the full validator for the rest.

Knows nothing of requests and dossiers. The work runs in a thread of its own, so that the event loop stays free.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509

from staging import full_validation, plain_signature, timing
from staging.chains import Issuers, NotPlain

# Half of the work is Python and holds the interpreter's lock, so a second thread would only wait for the first.
THREADS = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """Valid, or the reasons why not."""

    valid: bool
    reasons: tuple[str, ...] = ()


class Verifier:
    """Judges documents against one root."""

    def __init__(self, root: x509.Certificate, known: tuple[x509.Certificate, ...] = ()) -> None:
        self._issuers = Issuers(root, known)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="verify")

    def verify(self, pdf: bytes, at: datetime | None = None) -> Verdict:
        """The verdict on `pdf` at `at` (now)."""
        at = at or datetime.now(UTC)
        try:
            faults = plain_signature.faults(pdf, self._issuers, at)
        except NotPlain:
            faults = self.faults_in_full(pdf, at)
        return Verdict(not faults, faults)

    def faults_in_full(self, pdf: bytes, at: datetime) -> tuple[str, ...]:
        """What the full validator finds, whatever the short way says."""
        return full_validation.faults(pdf, self._issuers.root, self._issuers.known, at)

    async def verify_all(self, documents: Sequence[bytes]) -> list[Verdict]:
        """The verdicts on one request's documents, in one turn of the verification thread."""
        asked_s = time.perf_counter()

        def work() -> tuple[float, float, list[Verdict]]:
            started_s = time.perf_counter()
            verdicts = [self.verify(document) for document in documents]
            return started_s, time.perf_counter(), verdicts

        started_s, finished_s, verdicts = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        timing.add(timing.VERIFICATION, started_s - asked_s, finished_s - started_s)
        return verdicts

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
