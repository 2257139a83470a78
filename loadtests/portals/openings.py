"""What must be there before a plan's first second: the statuses of its dossiers, and who signs what beforehand.

Pure functions of a plan, for the staging portal's accounts. Knows no request.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caodiem.dossier import FILINGS, STATUS_AFTER, STATUS_BEFORE, dossier_code
from caodiem.plan import Plan

# A dossier belongs to citizen `dossier % CITIZENS` in every journey, so whoever filed it may look it up. Who files has
# signed an application before the clock starts, and every worker keeps all of these.
CITIZENS = 200
_OF_CITIZENS = (
    "search_catalogue",
    "file_dossier",
    "pay_fee",
    "look_up_status",
    "supplement_dossier",
    "withdraw_dossier",
    "sign_remotely",
    "reuse_document",
    "ask_support",
)


def opening_statuses(plan: Plan) -> Iterator[dict[str, Any]]:
    """Each dossier with the status that its first steps expect; status 0 where they file it.

    Dossiers that only sync batches speak of do not stand here.
    """
    dossier = plan.table["dossier"].to_numpy()
    rows = _deciding_rows(plan, dossier)
    operations = plan.table["operation"].take(rows).to_pylist()
    agencies = plan.table["agency"].take(rows).to_pylist()
    for number, operation, agency in zip(dossier[rows].tolist(), operations, agencies, strict=True):
        status = int(STATUS_BEFORE.get(operation, 0))
        yield {"code": dossier_code(agency, number), "status": status, "citizen": citizen(number)}


def _asking(plan: Plan, *operations: str) -> pa.Table:
    """The rows of these operations."""
    return plan.table.filter(pc.is_in(plan.table["operation"].cast(pa.string()), pa.array(operations)))


def scanning(plan: Plan) -> list[str]:
    """The agencies whose officers scan papers."""
    rows = _asking(plan, "digitise_paper", "file_at_counter")
    return sorted(rows["agency"].cast(pa.string()).unique().to_pylist())


def applicants(plan: Plan) -> list[int]:
    """The numbers of the citizens who file online."""
    numbers = np.unique(_asking(plan, "file_dossier")["dossier"].to_numpy() % CITIZENS)
    return [int(number) for number in numbers]


def never_signed_in(plan: Plan) -> list[str]:
    """The citizens of journeys that begin with another step than signing in, such as those of a log."""
    firsts = plan.table.filter(pc.equal(plan.table["step"], 0))
    others = firsts.filter(pc.is_in(firsts["operation"].cast(pa.string()), pa.array(_OF_CITIZENS)))
    return [citizen(number) for number in np.unique(others["dossier"].to_numpy() % CITIZENS).tolist()]


def _deciding_rows(plan: Plan, dossier: np.ndarray) -> np.ndarray:
    """The row that says in which status each dossier opens; the plan stands in order of due.

    That is the first step that needs one status and no other; where there is none, any look-up or payment.
    """
    operation = np.array(plan.table["operation"].to_pylist(), dtype=str)
    exacting = np.isin(operation, [*STATUS_AFTER, *FILINGS])
    easygoing = np.isin(operation, list(STATUS_BEFORE)) & ~exacting
    rows = np.concatenate([np.flatnonzero(exacting), np.flatnonzero(easygoing)])
    _, first = np.unique(dossier[rows], return_index=True)
    return np.asarray(rows[first])


def citizen(dossier: int) -> str:
    return f"citizen-{dossier % CITIZENS:06d}"
