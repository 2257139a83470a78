"""A dossier's signed papers as they come in, and the verdict on each of them.

Knows the verifier, and no table. Papers that an officer hands in must be signed by somebody of the officer's agency.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from staging import reasons, timing
from staging.answers import Problem, Refusal
from staging.parts import Parts
from staging.verdicts import Verdict

COMPONENTS_MAX = 3


class Component(msgspec.Struct, forbid_unknown_fields=True):
    """A signed PDF, or a CAdES message that envelops its content; `content` travels as base64."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    content: bytes


Components = Annotated[list[Component], msgspec.Meta(min_length=1, max_length=COMPONENTS_MAX)]


class Judged(msgspec.Struct):
    """The verdict on a component whose signature is good."""

    name: str
    verdict: Literal["valid"] = "valid"


class Doubted(msgspec.Struct):
    """The verdict on a component, with what is wrong with it."""

    name: str
    verdict: Literal["valid", "invalid"]
    reasons: list[str]


class NotTaken(Problem):
    """Why nothing was taken; `components` where a signature is to blame."""

    components: list[Doubted] = msgspec.field(default_factory=list)


async def judge(parts: Parts, components: Sequence[Component], agency: str = "") -> list[Judged]:
    """The verdict on each component; Refusal 422 with all of them when one is not valid.

    `agency`: whose officer must have signed, last if there are several signatures; anybody if it is empty.
    """
    async with parts.faults.reach(timing.VERIFICATION):
        verdicts = await parts.verifier.verify_all([component.content for component in components])
    verdicts = [_of_agency(verdict, agency) for verdict in verdicts]
    if all(verdict.valid for verdict in verdicts):
        return [Judged(component.name) for component in components]
    told = [
        Doubted(component.name, "valid" if verdict.valid else "invalid", list(verdict.reasons))
        for component, verdict in zip(components, verdicts, strict=True)
    ]
    bad = ", ".join(component.name for component in told if component.verdict != "valid")
    who = f"an officer of {agency}" if agency else "a trusted signer"
    raise Refusal(422, f"signature not valid: {bad}; expected a PAdES or CAdES signature by {who}", components=told)


def _of_agency(verdict: Verdict, agency: str) -> Verdict:
    """The verdict where only an officer of `agency` may have signed. The last signature is the one over everything:
    whoever signed before may have signed less.
    """
    if not agency or not verdict.valid:
        return verdict
    last = verdict.signers[-1] if verdict.signers else None
    if last is not None and last.agency == agency:
        return verdict
    return Verdict(False, (f"{reasons.OTHER_AGENCY} (signed by {last}, expected {agency})",))


def digest(procedure: str, components: Sequence[Component]) -> bytes:
    """SHA-256 over what is filed; each part by its own digest, so that parts cannot run into one another."""
    whole = hashlib.sha256(hashlib.sha256(procedure.encode()).digest())
    for component in components:
        whole.update(hashlib.sha256(component.name.encode()).digest())
        whole.update(hashlib.sha256(component.content).digest())
    return whole.digest()
