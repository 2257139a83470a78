"""A dossier's signed papers as they come in, and the verdict on each of them.

Knows the verifier, and no table. Who may have signed stands in signatories.py.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from staging import timing
from staging.answers import Problem, Refusal
from staging.parts import Parts
from staging.signatories import Signatory
from staging.signers import Signer
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


async def judge(parts: Parts, components: Sequence[Component], signatory: Signatory) -> list[Judged]:
    """The verdict on each component; Refusal 422 with all of them when one is not validly signed by a signatory, or
    all together lack one.
    """
    async with parts.faults.reach(timing.VERIFICATION):
        verdicts = await parts.verifier.verify_all([component.content for component in components])
    last = [_last(verdict) for verdict in verdicts]
    told = [
        _told(component, verdict, signatory.fault(signer))
        for component, verdict, signer in zip(components, verdicts, last, strict=True)
    ]
    bad = ", ".join(each.name for each in told if each.verdict != "valid")
    if bad:
        expected = f"expected a PAdES or CAdES signature by {signatory}"
        raise Refusal(422, f"signature not valid: {bad}; {expected}", components=told)
    lack = signatory.lack(last)
    if lack:
        raise Refusal(422, lack, components=told)
    return [Judged(component.name) for component in components]


def _last(verdict: Verdict) -> Signer | None:
    """Whose signature is over all of a valid document."""
    named = verdict.signers
    return named[-1] if named else None


def _told(component: Component, verdict: Verdict, fault: str) -> Doubted:
    """What is said of a component; who signed matters once the signature is good."""
    if not verdict.valid:
        return Doubted(component.name, "invalid", list(verdict.reasons))
    return Doubted(component.name, "invalid", [fault]) if fault else Doubted(component.name, "valid", [])


def digest(procedure: str, components: Sequence[Component]) -> bytes:
    """SHA-256 over what is filed; each part by its own digest, so that parts cannot run into one another."""
    whole = hashlib.sha256(hashlib.sha256(procedure.encode()).digest())
    for component in components:
        whole.update(hashlib.sha256(component.name.encode()).digest())
        whole.update(hashlib.sha256(component.content).digest())
    return whole.digest()
