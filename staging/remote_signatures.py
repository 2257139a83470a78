"""Signing from within the portal: a citizen has documents signed remotely, with one call that asks and then fetches.

Knows the signing service by its calls. The first call has the signer asked; the same call again tells that they have
not approved yet, or brings the signatures.
"""

from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.responses import Response

from staging import signing
from staging.answers import answer
from staging.routes import Call, Route
from staging.tokens import CITIZEN, OFFICER


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """POST /signatures: SHA-256 digests in base64, and what the signer is to read."""

    hashes: signing.Hashes
    told: Annotated[str, msgspec.Meta(max_length=500)] = ""


class Signed(msgspec.Struct):
    """RSA signatures in the order of the hashes, the signer's certificate and its authorities', all in base64."""

    signatures: list[str]
    certificates: list[str]


async def sign(call: Call[Wish]) -> Response:
    """Have hashes signed with one's own remote key: 202 until one has approved, then the signatures."""
    parts, hashes = call.parts, signing.read_hashes(call.body.hashes)
    async with parts.database.connection() as connection:
        credential = await parts.credentials.of(connection, call.identity.account)
        transaction, sad, _ = await signing.ask(connection, credential, hashes, call.body.told)
        if not sad:
            return signing.pending(transaction)
        await signing.use(connection, credential, sad, hashes)
    signed = await signing.signatures(parts, credential, hashes)
    certificates = [each.public_bytes(Encoding.DER) for each in (credential.certificate, *parts.credentials.chain)]
    return answer(Signed(signed, [signing.text_of(each) for each in certificates]))


ROUTES = (
    Route(
        "POST",
        "/signatures",
        sign,
        {200: Signed, signing.PENDING: signing.Pending, 400: signing.CscProblem},
        system="signing",
        who=(CITIZEN, OFFICER),
        body=Wish,
    ),
)
