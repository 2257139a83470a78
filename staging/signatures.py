"""Whether a signed document is valid, and by whom: the short way first, the full validator for the rest.

Knows nothing of requests and dossiers. A portal's work runs in a thread of its own, so that the event loop stays free;
a batch is spread over processes.
"""

import asyncio
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from staging import plain_signature, reasons, timing
from staging.bounds import unpacks_too_far
from staging.chains import Issuers
from staging.policy import Policy
from staging.verdicts import Verdict

# Half of the work is Python and holds the interpreter's lock, so a second thread would only wait for the first.
THREADS = 1
_CHUNK = 16  # documents sent to a process at once
_CHUNKS_AHEAD = 2  # chunks under way for each process: what bounds the memory of a batch


@dataclass(frozen=True, slots=True)
class Document:
    """What is to be judged: a PDF, an enveloping CAdES message, or any content with its detached CAdES signature."""

    content: bytes
    signature: bytes | None = None


@dataclass(frozen=True)
class Trust:
    """What verdicts rest on: the root, the authorities and revocation lists (DER) at hand, the policy."""

    root: x509.Certificate
    known: tuple[x509.Certificate, ...]
    crls: tuple[bytes, ...]
    policy: Policy


class Verifier:
    """Judges documents against one root; `crls` in DER, ValueError when one cannot be read."""

    def __init__(
        self,
        root: x509.Certificate,
        known: tuple[x509.Certificate, ...] = (),
        crls: tuple[bytes, ...] = (),
        policy: Policy | None = None,
    ) -> None:
        self._trust = Trust(root, known, crls, policy or Policy())
        self._issuers = Issuers(root, known, crls, self._trust.policy)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="verify")
        self._pools: dict[int, ProcessPoolExecutor] = {}

    def verify(self, content: bytes, at: datetime | None = None, *, signature: bytes | None = None) -> Verdict:
        """The verdict on a document at `at` (now); `signature`: its detached CAdES signature, if it has one."""
        at = at or self._trust.policy.clock()
        if unpacks_too_far(content):
            return Verdict(False, (reasons.TOO_LARGE,))
        try:
            if signature is not None:
                return plain_signature.judge_message(signature, content, self._issuers, at)
            if _is_message(content):
                return plain_signature.judge_message(content, None, self._issuers, at)
            return plain_signature.judge(content, self._issuers, at)
        # NotPlain, or whatever else a reader raises at hostile input: either way not for the short way to judge.
        except Exception:
            return self.verify_in_full(content, at, signature=signature)

    def verify_in_full(self, content: bytes, at: datetime, *, signature: bytes | None = None) -> Verdict:
        """The full validator's verdict, whatever the short way says."""
        # Here, because it is rare, and because pyHanko would make loading a worker half as long again.
        from staging import full_validation

        if signature is not None:
            return full_validation.judge_message(signature, content, self._issuers, at)
        if _is_message(content):
            return full_validation.judge_message(content, None, self._issuers, at)
        return full_validation.judge(content, self._issuers, at)

    def verify_many(self, documents: Iterable[Document], processes: int | None = None) -> Iterator[Verdict]:
        """The verdicts on any number of documents, in their order, by `processes` (one for each core).

        Holds no more than some dozens of documents at a time, however many there are. The processes stay for the next
        batch, until `close`.
        """
        processes = processes or os.cpu_count() or 1
        if processes == 1:
            return (self.verify(each.content, signature=each.signature) for each in documents)
        if processes not in self._pools:
            # Not forked: this process may have threads, which a fork would leave with their locks held.
            spawning = multiprocessing.get_context("spawn")
            self._pools[processes] = ProcessPoolExecutor(
                processes, spawning, initializer=_start_process, initargs=(_sendable(self._trust),)
            )
        return _in_order(self._pools[processes], iter(documents), processes * _CHUNKS_AHEAD)

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
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)


def _is_message(content: bytes) -> bool:
    """Whether it begins like DER, as no PDF does."""
    return content[:1] == b"\x30"


def _in_order(pool: ProcessPoolExecutor, documents: Iterator[Document], ahead: int) -> Iterator[Verdict]:
    """Keep `ahead` chunks under way; yield what comes back in the order in which it went."""
    under_way: deque[Future[list[Verdict]]] = deque()
    while True:
        while len(under_way) < ahead and (chunk := list(islice(documents, _CHUNK))):
            under_way.append(pool.submit(_verify_chunk, chunk))
        if not under_way:
            return
        yield from under_way.popleft().result()


_Sendable = tuple[bytes, tuple[bytes, ...], tuple[bytes, ...], Policy]
_here: list[Verifier] = []  # in a process of a batch: its verifier


def _sendable(trust: Trust) -> _Sendable:
    known = tuple(certificate.public_bytes(Encoding.DER) for certificate in trust.known)
    return trust.root.public_bytes(Encoding.DER), known, trust.crls, trust.policy


def _start_process(given: _Sendable) -> None:
    root, known, crls, policy = given
    read = x509.load_der_x509_certificate
    _here.append(Verifier(read(root), tuple(read(each) for each in known), crls, policy))


def _verify_chunk(documents: list[Document]) -> list[Verdict]:
    return [_here[0].verify(each.content, signature=each.signature) for each in documents]
