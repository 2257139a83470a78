"""Filing at a counter: an officer files a dossier for a citizen who came there, with scans of the citizen's papers.

Knows the table `dossiers`, the population database, the verifier and digitisation.py. The schema holds that the officer
who filed is of the dossier's agency; the dossier is the citizen's like any other.
"""

import msgspec
from psycopg import AsyncConnection
from starlette.responses import Response

from caodiem.dossier import Status
from staging import components, digitisation, population
from staging.answers import Problem, answer
from staging.components import Components, NotTaken, judge
from staging.dossiers import Filed, check_own, check_repeat
from staging.routes import Call, Route
from staging.signatories import Officers
from staging.tokens import OFFICER, Identity


class CounterFiling(msgspec.Struct, forbid_unknown_fields=True):
    """POST /cases. `citizen`: the number of the citizen who came; `components`: scans, signed by the agency."""

    code: str
    procedure: str
    citizen: population.Number
    components: Components


async def file_dossier(call: Call[CounterFiling]) -> Response:
    """File a dossier for a citizen at the counter, with signed scans; 200 where the same was filed before."""
    filing, officer = call.body, call.identity
    check_own(filing.code, officer)
    citizen = await _find(call, officer.agency, filing.citizen)
    judged = await judge(call.parts, filing.components, Officers(officer.agency))
    async with call.parts.reach("document_store") as connection:
        is_new = await _file(connection, filing, citizen, officer)
        if is_new:
            await digitisation.keep(connection, filing.code, citizen, filing.components, officer)
    return answer(Filed(filing.code, int(Status.REGISTERED), judged), 201 if is_new else 200)


async def _find(call: Call[CounterFiling], agency: str, number: str) -> str:
    """The account of who came; Refusal 404 for a number that nobody has."""
    async with call.parts.reach("population_db") as connection:
        citizen = await population.account_of(connection, agency, number)
    if citizen is None:
        raise population.unknown(number)
    return citizen


async def _file(connection: AsyncConnection, filing: CounterFiling, citizen: str, officer: Identity) -> bool:
    """Whether the dossier is new; Refusal when its code or its procedure will not do."""
    insert = """
        INSERT INTO dossiers (code, procedure, citizen, status, filing_digest, channel, filed_by)
        SELECT %s, code, %s, %s, %b, 'counter', %s FROM procedures WHERE code = %s AND agency = %s
        ON CONFLICT DO NOTHING"""
    filed = components.digest(filing.procedure, filing.components)
    values = (filing.code, citizen, int(Status.REGISTERED), filed, officer.account)
    cursor = await connection.execute(insert, (*values, filing.procedure, officer.agency))
    if cursor.rowcount:
        return True
    expected = f"one of GET /catalogue?agency={officer.agency}"
    await check_repeat(connection, filing.code, filing.procedure, (citizen, filed, "counter"), expected)
    return False


ROUTES = (
    Route(
        "POST",
        "/cases",
        file_dossier,
        {201: Filed, 200: Filed, 404: Problem, 409: Problem, 422: NotTaken, 429: Problem},
        system="case_system",
        who=(OFFICER,),
        body=CounterFiling,
    ),
)
