"""Quality indicators of an agency, computed from the tables each time they are read.

The formulas are those of the working document on Decision 766/QD-TTg (regulation-qd766-formula-1-4 to -5-3, numbered
as there). It contradicts itself on supplements, so indicator 2.1 is given in both readings. A period is of the days on
which dossiers were filed; a share is in percent with two decimals, and null where there is nothing to count.
"""

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
from starlette.responses import Response

from caodiem.dossier import Status
from staging.answers import Problem, Refusal, answer
from staging.reports import today
from staging.routes import Call, Route
from staging.status_sync import key_range

PERIOD_DAYS = 30
_AGENCY = re.compile(r"[GH]\d{2}", re.ASCII)
_QUERY = Path(__file__).with_name("indicators.sql").read_text(encoding="utf-8")

Share = Annotated[float, msgspec.Meta(ge=0, le=100)] | None


class Period(msgspec.Struct, forbid_unknown_fields=True):
    """Both days belong to it; the last PERIOD_DAYS days by Viet Nam's clocks unless given."""

    first: date | None = None
    last: date | None = None


class Indicators(msgspec.Struct):
    """Counts of dossiers, and shares in percent by the numbers of Decision 766's indicators."""

    agency: str
    first: date
    last: date
    dossiers: int
    dossiers_online: int
    synchronised_1_4: Share
    on_time_clock_stops_2_1: Share  # while documents are asked for, and more than one request is late
    on_time_clock_runs_2_1: Share
    handling_days_mean_2_2: float | None
    procedures_online_3_1: Share
    procedures_used_online_3_2: Share
    submitted_online: Share  # the plain share
    submitted_online_3_3: Share  # times the synchronised share, as the document has it
    payable_online_3_5: Share
    paid_online_3_6: Share
    electronic_results_4_1: Share
    digitised_4_2: Share
    reused_4_3: Share
    shared_for_reuse_4_4: Share
    feedback_on_time_5_2: Share
    feedback_satisfied_5_3: Share


async def read(call: Call[None]) -> Response:
    """An agency's indicators over a period. Anybody may read them."""
    agency = call.path["agency"]
    if not _AGENCY.fullmatch(agency):
        raise Refusal(400, f"agency {agency!r}: expected a code like H01 or G09")
    last = call.query.last or today()
    first = call.query.first or last - timedelta(days=PERIOD_DAYS - 1)
    if not date(2000, 1, 1) <= first <= last <= date(2100, 1, 1):
        raise Refusal(400, f"period {first} to {last}: expected two days of this century in order")
    behind = last + timedelta(days=1)
    first_key, end_key = key_range(agency, first, behind)
    values = {
        "agency": agency,
        "first": f"{agency}-{first:%Y%m%d}",
        "end": f"{agency}-{behind:%Y%m%d}",
        "first_day": first,
        "end_day": behind,
        "first_key": first_key,
        "end_key": end_key,
        **{status.name.lower(): int(status) for status in Status},
    }
    async with call.parts.database.connection() as connection:
        row = await (await connection.execute(_QUERY, values)).fetchone()
    assert row is not None
    return answer(Indicators(agency, first, last, *row))


ROUTES = (
    Route("GET", "/indicators/{agency}", read, {200: Indicators, 400: Problem}, system="quality_monitor", query=Period),
)
