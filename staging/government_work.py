"""The government's system for meetings and work: officers send papers, ask for opinions and set tasks over the axis.

Knows the table `work_items`; the documents themselves travel on the document axis.
"""

from datetime import datetime
from typing import Literal

import msgspec
from starlette.responses import Response

from staging import document_axis
from staging.answers import Problem, answer
from staging.document_axis import Name, Receivers, Sent, Title
from staging.routes import Call, Route
from staging.tokens import OFFICER


class WorkDocument(msgspec.Struct, forbid_unknown_fields=True):
    """POST /government-work/documents."""

    document: Name
    matter: Literal["meeting", "opinion", "task"]
    title: Title
    to: Receivers
    content: bytes
    due_at: datetime | None = None


async def send(call: Call[WorkDocument]) -> Response:
    """Send a work document to agencies: 201, or 200 when it was sent before."""
    given, officer = call.body, call.identity
    insert = "INSERT INTO work_items (sender, document, matter, officer, due_at) VALUES (%s, %s, %s, %s, %s)"
    async with call.parts.reach("document_axis") as connection:
        is_new, sent = await document_axis.put(connection, officer.agency, "work", given)
        if is_new:
            values = (officer.agency, given.document, given.matter, officer.account, given.due_at)
            await connection.execute(insert, values)
    return answer(sent, 201 if is_new else 200)


ROUTES = (
    Route(
        "POST",
        "/government-work/documents",
        send,
        {201: Sent, 200: Sent, 400: Problem, 409: Problem},
        system="government_work",
        who=(OFFICER,),
        body=WorkDocument,
    ),
)
