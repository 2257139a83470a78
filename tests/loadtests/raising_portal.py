"""Portal classes with mistakes of their own: each raises in another place."""

import os
from typing import Any

from caodiem.plan import Plan
from loadtests.journeys import Journey
from loadtests.portals import Request, Send
from loadtests.portals.reference import ReferencePortal

NO_SUCH: dict[str, str] = {}


class RaisesInRequests(ReferencePortal):
    """Every third request cannot be made, every third answer not be checked, and one path is not quoted."""

    def request(self, journey: Journey) -> Request:
        def check(status: int, body: bytes) -> str | None:
            raise IndexError(f"nothing of {journey.dossier}")

        if journey.arrival == 2:
            return super().request(journey)._replace(path="/catalogue?q=đăng ký")
        if journey.arrival % 3 == 0:
            return super().request(journey)._replace(path=NO_SUCH[journey.agency])
        return super().request(journey)._replace(**{"check": check} if journey.arrival % 3 == 1 else {})


class RaisesWhenPreparing(ReferencePortal):
    """Knows too little of the plan's agencies."""

    def prepare(self, plan: Plan, send: Send) -> dict[str, Any]:
        return {"agency": NO_SUCH["H01"]}


class PreparesWhatCannotTravel(ReferencePortal):
    """msgpack knows no sets."""

    def prepare(self, plan: Plan, send: Send) -> dict[str, Any]:
        return {"agencies": {"H01"}}


class RaisesOnOneMachine(ReferencePortal):
    """The one where `CANNOT` is set."""

    def use(self, prepared: dict[str, Any]) -> None:
        if "CANNOT" in os.environ:
            raise LookupError("no key here")
        super().use(prepared)


class RaisesWhenTakingOver(ReferencePortal):
    """Takes over something else than was prepared."""

    def prepare(self, plan: Plan, send: Send) -> dict[str, Any]:
        return {}


class PreparesNothing(RaisesWhenTakingOver):
    """No mistake: asks what anybody may."""

    def use(self, prepared: dict[str, Any]) -> None:
        pass

    def request(self, journey: Journey) -> Request:
        return Request("GET", "/catalogue", lambda status, body: None)
