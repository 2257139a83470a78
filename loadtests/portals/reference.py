"""The portal class for our own staging portal: every operation of a plan as one request of its HTTP contract.

Bodies are put together from bytes encoded before the clock starts: the hot path encodes no documents.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from caodiem.dossier import SERIALS_PER_DAY, STATUS_AFTER, Status, dossier_code, parse_dossier_code
from caodiem.errors import InvalidRun
from caodiem.plan import Plan
from loadtests.journeys import Journey
from loadtests.portals import Request, Send
from loadtests.portals.bodies import json_object
from loadtests.portals.openings import CITIZENS, applicants, citizen, never_signed_in, opening_statuses, scanning

_PAPERS = 24
_STORED = 3  # papers that each citizen has in the store
_COMPONENTS_MAX = 3  # of a filing
_PERIOD = timedelta(days=30)  # of which indicators are read
_DOSSIERS_A_CALL = 2000
_ACTIONS = {
    "receive_dossier": "receive",
    "refuse_dossier": "refuse",
    "start_handling": "handle",
    "ask_supplement": "ask-supplement",
    "stop_dossier": "stop",
    "finish_dossier": "finish",
    "return_result": "return",
}
# The events of a sync batch walk each dossier through a whole life, in legal transitions.
_LIFE = (Status.REGISTERED, Status.RECEIVED, Status.IN_PROCESS, Status.FINISHED, Status.RETURNED)


class ReferencePortal:
    """See `loadtests.portals.Portal`. The admin token is used by `prepare` alone and kept nowhere else."""

    def __init__(self, admin_token: str = "") -> None:
        self._admin_token = admin_token
        self._asks: dict[str, Callable[[Journey], Request]] = {
            "sign_in": self._sign_in,
            "search_catalogue": self._search_catalogue,
            "file_dossier": self._file_dossier,
            "pay_fee": self._pay_fee,
            "look_up_status": self._look_up_status,
            "supplement_dossier": self._supplement_dossier,
            "push_sync": self._push_sync,
            "withdraw_dossier": self._withdraw_dossier,
            "file_at_counter": self._file_at_counter,
            "ask_payment": self._ask_payment,
            "reconcile_payments": self._reconcile_payments,
            "exchange_data": self._exchange_data,
            "look_up_citizen": self._look_up_citizen,
            "sign_remotely": self._sign_remotely,
            "reuse_document": self._reuse_document,
            "digitise_paper": self._digitise_paper,
            "send_document": self._send_document,
            "fetch_documents": self._fetch_documents,
            "send_work_document": self._send_work_document,
            "ask_support": self._ask_support,
            "read_indicators": self._read_indicators,
            **dict.fromkeys(_ACTIONS, self._act),
        }
        self.operations = tuple(self._asks)

    def prepare(self, plan: Plan, send: Send) -> dict[str, Any]:
        """Dossiers in the status that their first step expects, accounts, tokens of staff, documents to file; nothing
        left of an earlier replay."""
        agencies = sorted(plan.table["agency"].unique().to_pylist())
        accounts = {"agencies": agencies, "citizens": CITIZENS, "dossiers": [], "stored": _STORED, "anew": True}
        secret = _ask(send, "POST", "/admin/prepare", accounts, self._admin_token)["secret"]
        procedures = {agency: _procedures(send, agency) for agency in agencies}
        for entries in _chunks(opening_statuses(plan), _DOSSIERS_A_CALL):
            wanted = {
                "agencies": [],
                "citizens": 0,
                "dossiers": [_with_procedure(entry, procedures) for entry in entries if entry["status"]],
                # To be filed by the replay: whatever an earlier replay made of them must go.
                "absent": [entry["code"] for entry in entries if not entry["status"]],
            }
            _ask(send, "POST", "/admin/prepare", wanted, self._admin_token)
        return {
            "secret": secret,
            # A filing has an application, signed by who files it, and papers that an agency issued.
            "applications": {
                citizen(number): self._signed(send, 1, citizen(number), number)[0] for number in applicants(plan)
            },
            "papers": self._signed(send, _PAPERS),
            # What is scanned at a counter is signed by the agency that has it.
            "scans": {agency: self._signed(send, _COMPONENTS_MAX, f"officer-{agency}") for agency in scanning(plan)},
            "procedures": procedures,
            "officers": {agency: _token(send, f"officer-{agency}", secret) for agency in agencies},
            "systems": {agency: _token(send, f"agency-{agency}", secret) for agency in agencies},
            "citizens": {citizen: _token(send, citizen, secret) for citizen in never_signed_in(plan)},
            "plan_hash": plan.meta.plan_hash,
            "starts_at": plan.meta.starts_at,
        }

    def _signed(self, send: Send, count: int, signer: str = "", first: int = 0) -> list[str]:
        """Components as JSON, signed by an account, or else issued by an agency."""
        path = f"/admin/documents?count={count}&signer={signer}&first={first}"
        documents = _ask(send, "GET", path, None, self._admin_token)["documents"]
        return [json.dumps({"name": each["name"], "content": each["content"]}) for each in documents]

    def use(self, prepared: dict[str, Any]) -> None:
        """Encode what does not change from request to request."""
        self._secret: str = prepared["secret"]
        self._applications = {citizen: each.encode() for citizen, each in prepared["applications"].items()}
        self._papers = [paper.encode() for paper in prepared["papers"]]
        self._scans = {agency: [scan.encode() for scan in scans] for agency, scans in prepared["scans"].items()}
        contents = [b64decode(json.loads(paper)["content"]) for paper in prepared["papers"][:_STORED]]
        self._stored = [sha256(content).hexdigest() for content in contents]
        self._procedures: dict[str, list[list[Any]]] = prepared["procedures"]
        self._officers = {agency: _bearer(token) for agency, token in prepared["officers"].items()}
        self._systems = {agency: _bearer(token) for agency, token in prepared["systems"].items()}
        self._citizens = {citizen: _bearer(token) for citizen, token in prepared["citizens"].items()}
        self._plan_hash: str = prepared["plan_hash"]
        self._starts_at = datetime.fromisoformat(prepared["starts_at"])

    def request(self, journey: Journey) -> Request:
        """What the step that is due asks; KeyError for an operation that the contract does not have."""
        return self._asks[journey.step.operation](journey)

    def _sign_in(self, journey: Journey) -> Request:
        def check(status: int, body: bytes) -> str | None:
            if status == 200:
                journey.token = json_object(body).get("token", "")
            return None if journey.token else _unexpected(status, "200 with a token")

        account = {"account": citizen(journey.dossier), "secret": self._secret}
        return _post("/accounts/sign-in", account, check, {})

    def _search_catalogue(self, journey: Journey) -> Request:
        def check(status: int, body: bytes) -> str | None:
            found = status == 200 and json_object(body).get("procedures")
            return None if found else _unexpected(status, "200 with at least one procedure")

        path = f"/catalogue?q={_quoted(self._procedure(journey)[1])}&agency={journey.agency}"
        return Request("GET", path, check, headers=self._citizen_bearer(journey))

    def _file_dossier(self, journey: Journey) -> Request:
        code = _code(journey)
        head = json.dumps({"code": code, "procedure": self._procedure(journey)[0]})[:-1].encode()
        components = [self._applications[citizen(journey.dossier)], *self._issued(journey, journey.step.items - 1)]
        body = head + b', "components": [' + b", ".join(components) + b"]}"
        return Request("POST", "/dossiers", _check_filed(code), body, self._citizen_bearer(journey))

    def _file_at_counter(self, journey: Journey) -> Request:
        code = _code(journey)
        filing = {
            "code": code,
            "procedure": self._procedure(journey)[0],
            "citizen": _citizen_number(journey.dossier),
        }
        scans = self._scans[journey.agency][: journey.step.items]
        body = json.dumps(filing)[:-1].encode() + b', "components": [' + b", ".join(scans) + b"]}"
        return Request("POST", "/cases", _check_filed(code), body, self._officers[journey.agency])

    def _pay_fee(self, journey: Journey) -> Request:
        def check(status: int, body: bytes) -> str | None:
            right = status in (200, 201) and json_object(body).get("transaction")
            return None if right else _unexpected(status, "201 with a transaction")

        amount = {"amount_vnd": self._procedure(journey)[2]}
        return _post(f"/dossiers/{_code(journey)}/payment", amount, check, self._citizen_bearer(journey))

    def _look_up_status(self, journey: Journey) -> Request:
        code = _code(journey)

        def check(status: int, body: bytes) -> str | None:
            right = status == 200 and json_object(body).get("code") == code
            return None if right else _unexpected(status, "200 with its code")

        return Request("GET", f"/dossiers/{code}", check, headers=self._citizen_bearer(journey))

    def _supplement_dossier(self, journey: Journey) -> Request:
        body = b'{"components": [' + b", ".join(self._issued(journey, journey.step.items)) + b"]}"
        path = f"/dossiers/{_code(journey)}/components"
        return Request("POST", path, _check_status(journey), body, self._citizen_bearer(journey))

    def _act(self, journey: Journey) -> Request:
        path = f"/cases/{_code(journey)}/{_ACTIONS[journey.step.operation]}"
        return Request("POST", path, _check_status(journey), b"{}", self._officers[journey.agency])

    def _withdraw_dossier(self, journey: Journey) -> Request:
        path = f"/dossiers/{_code(journey)}/withdrawal"
        return Request("POST", path, _check_status(journey), b"", self._citizen_bearer(journey))

    def _ask_payment(self, journey: Journey) -> Request:
        # The fee that a later `pay_fee` on this dossier will offer.
        amount = {"amount_vnd": self._procedure(journey)[2]}
        path = f"/cases/{_code(journey)}/ask-payment"
        return _post(path, amount, _check_status(journey), self._officers[journey.agency])

    def _reconcile_payments(self, journey: Journey) -> Request:
        def check(status: int, body: bytes) -> str | None:
            right = status == 200 and "matched" in json_object(body)
            return None if right else _unexpected(status, "200 with what matched")

        return _post("/payments/reconciliations", {}, check, self._systems[journey.agency])

    def _exchange_data(self, journey: Journey) -> Request:
        def check(status: int, body: bytes) -> str | None:
            right = status == 200 and json_object(body).get("state") == "answered"
            return None if right else _unexpected(status, "200, answered")

        asked = {"service": "population.read", "number": _citizen_number(journey.dossier)}
        return _post(
            "/exchange/messages", {"message": self._name(journey), "asked": asked}, check, self._system(journey)
        )

    def _look_up_citizen(self, journey: Journey) -> Request:
        number = _citizen_number(journey.dossier)

        def check(status: int, body: bytes) -> str | None:
            right = status == 200 and json_object(body).get("number") == number
            return None if right else _unexpected(status, "200 with the citizen's number")

        return _post("/population/look-ups", {"number": number}, check, self._officers[journey.agency])

    def _sign_remotely(self, journey: Journey) -> Request:
        """Asks the signer; a later step on the same dossier asks whether they approved, and fetches the signature."""

        def check(status: int, body: bytes) -> str | None:
            answer = json_object(body)
            right = (status == 202 and answer.get("transaction")) or (status == 200 and answer.get("signatures"))
            return None if right else _unexpected(status, "202 with a transaction, or 200 with signatures")

        digest = sha256(f"{self._plan_hash} {_code(journey)}".encode()).digest()
        wish = {"hashes": [b64encode(digest).decode()], "told": _code(journey)}
        return _post("/signatures", wish, check, self._citizen_bearer(journey))

    def _reuse_document(self, journey: Journey) -> Request:
        digest = self._stored[journey.dossier % len(self._stored)]
        path = f"/dossiers/{_code(journey)}/reused"
        return _post(path, {"digest": digest}, _check_digest(), self._citizen_bearer(journey))

    def _digitise_paper(self, journey: Journey) -> Request:
        path = f"/cases/{_code(journey)}/papers"
        return Request("POST", path, _check_digest(), self._scans[journey.agency][0], self._officers[journey.agency])

    def _send_document(self, journey: Journey) -> Request:
        document = self._document(journey) | {"kind": "letter"}
        return _post("/axis/documents", document, _check_sent(document), self._system(journey))

    def _send_work_document(self, journey: Journey) -> Request:
        document = self._document(journey) | {"matter": "opinion"}
        return _post("/government-work/documents", document, _check_sent(document), self._officers[journey.agency])

    def _document(self, journey: Journey) -> dict[str, Any]:
        """A document to another agency of the plan, or to a ministry where there is no other."""
        given = json.loads(self._papers[journey.arrival % len(self._papers)])
        others = [agency for agency in self._systems if agency != journey.agency]
        others = others or [agency for agency in ("G01", "G02") if agency != journey.agency]
        to = [others[journey.arrival % len(others)]]
        return {"document": self._name(journey), "title": given["name"], "content": given["content"], "to": to}

    def _fetch_documents(self, journey: Journey) -> Request:
        def check(status: int, body: bytes) -> str | None:
            right = status == 200 and "documents" in json_object(body)
            return None if right else _unexpected(status, "200 with documents")

        return Request("POST", "/axis/inbox", check, b"", self._system(journey))

    def _ask_support(self, journey: Journey) -> Request:
        name = self._name(journey)

        def check(status: int, body: bytes) -> str | None:
            right = status in (200, 201) and json_object(body).get("question") == name
            return None if right else _unexpected(status, "201 with the question's name")

        question = {
            "question": name,
            "agency": journey.agency,
            "kind": "question",
            "text": "Hồ sơ của tôi đến đâu rồi?",
        }
        return _post("/support/questions", question, check, self._citizen_bearer(journey))

    def _read_indicators(self, journey: Journey) -> Request:
        def check(status: int, body: bytes) -> str | None:
            right = status == 200 and json_object(body).get("agency") == journey.agency
            return None if right else _unexpected(status, "200 with the agency's indicators")

        last = self._starts_at.date()
        return Request("GET", f"/indicators/{journey.agency}?first={last - _PERIOD}&last={last}", check)

    def _system(self, journey: Journey) -> dict[str, str]:
        return self._systems[journey.agency]

    def _name(self, journey: Journey) -> str:
        """A name that a replay repeated gives again, and no other step has."""
        return f"{self._plan_hash[:16]}-{journey.arrival}-{journey.step.number}"

    def _push_sync(self, journey: Journey) -> Request:
        items = journey.step.items

        def check(status: int, body: bytes) -> str | None:
            answer = json_object(body)
            taken = answer.get("accepted", 0) + answer.get("stale", 0)
            right = status == 200 and taken == items and not answer.get("rejected")
            return None if right else _unexpected(status, "200, every event taken, none rejected")

        batch = {"batch": f"{self._plan_hash[:16]}-{journey.arrival}", "events": list(self._events(journey))}
        return _post("/sync", batch, check, self._systems[journey.agency])

    def _events(self, journey: Journey) -> Iterator[dict[str, Any]]:
        day = journey.dossier // SERIALS_PER_DAY
        for event in range(journey.step.items):
            # Far enough apart that two batches seldom speak of one dossier: 61 dossiers, 305 events.
            serial = (journey.arrival * 61 + event // len(_LIFE)) % SERIALS_PER_DAY
            happened = self._starts_at + timedelta(seconds=int(journey.due_s) + event)
            yield {
                "code": dossier_code(journey.agency, day * SERIALS_PER_DAY + serial),
                "status": int(_LIFE[event % len(_LIFE)]),
                "sequence": event % len(_LIFE) + 1,
                "at": f"{happened:%Y%m%d%H%M%S}",
            }

    def _issued(self, journey: Journey, count: int) -> list[bytes]:
        """Papers that an agency issued."""
        return [self._papers[(journey.dossier + n) % len(self._papers)] for n in range(count)]

    def _citizen_bearer(self, journey: Journey) -> Mapping[str, str]:
        """The token that signing in gave, or that was got beforehand where the journey has no such step."""
        return _bearer(journey.token) if journey.token else self._citizens.get(citizen(journey.dossier), {})

    def _procedure(self, journey: Journey) -> list[Any]:
        return _procedure_of(journey.dossier, self._procedures[journey.agency])


def _check_filed(code: str) -> Callable[[int, bytes], str | None]:
    def check(status: int, body: bytes) -> str | None:
        # 200 answers a filing that the portal has already: a replay may be repeated.
        answer = json_object(body)
        valid = all(component.get("verdict") == "valid" for component in answer.get("components", ()))
        right = status in (200, 201) and answer.get("code") == code and valid
        return None if right else _unexpected(status, "201 with its code, every component valid")

    return check


def _check_status(journey: Journey) -> Callable[[int, bytes], str | None]:
    code, after = _code(journey), int(STATUS_AFTER[journey.step.operation])

    def check(status: int, body: bytes) -> str | None:
        answer = json_object(body)
        right = status == 200 and answer.get("code") == code and answer.get("status") == after
        return None if right else _unexpected(status, f"200 with its code and status {after}")

    return check


def _check_digest() -> Callable[[int, bytes], str | None]:
    def check(status: int, body: bytes) -> str | None:
        right = status in (200, 201) and json_object(body).get("digest")
        return None if right else _unexpected(status, "201 with the document's digest")

    return check


def _check_sent(document: dict[str, Any]) -> Callable[[int, bytes], str | None]:
    def check(status: int, body: bytes) -> str | None:
        receivers = json_object(body).get("receivers")
        right = status in (200, 201) and isinstance(receivers, dict) and set(receivers) == set(document["to"])
        return None if right else _unexpected(status, "201 with the document's receivers")

    return check


def _citizen_number(dossier: int) -> str:
    """The number under which the population database has a dossier's citizen."""
    return f"099{dossier % CITIZENS:09d}"


def _code(journey: Journey) -> str:
    return dossier_code(journey.agency, journey.dossier)


def _post(path: str, content: dict[str, Any], check: Callable[..., str | None], headers: dict[str, str]) -> Request:
    return Request("POST", path, check, json.dumps(content).encode(), headers)


@cache
def _quoted(word: str) -> str:
    return quote(word)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _unexpected(status: int, expected: str) -> str:
    # Locust counts failures by their text: no codes or names of one dossier in it, or each would be a kind of its own.
    return f"answer {status}: expected {expected}"


def _ask(send: Send, method: str, path: str, content: dict[str, Any] | None, token: str) -> dict[str, Any]:
    """One request of the preparation; InvalidRun when it is not answered well."""
    body = b"" if content is None else json.dumps(content).encode()
    answer = send(Request(method, path, lambda status, body: None, body, _bearer(token)))
    if not 200 <= answer.status < 300:
        said = answer.body[:200].decode(errors="replace") if answer.status else answer.error
        wanted = (
            "the portal's admin token in CAODIEM_ADMIN_TOKEN"
            if answer.status == 401
            else "the portal to prepare itself"
        )
        raise InvalidRun(f"{method} {path.split('?')[0]}: {answer.status} {said}; expected {wanted}")
    return json_object(answer.body)


def _token(send: Send, account: str, secret: str) -> str:
    return str(_ask(send, "POST", "/accounts/sign-in", {"account": account, "secret": secret}, "")["token"])


def _procedures(send: Send, agency: str) -> list[list[Any]]:
    """(code, name, fee in VND) of what an agency offers; only what costs a fee, if anything, since plans pay fees."""
    offered = _ask(send, "GET", f"/catalogue?q=&agency={agency}", None, "")["procedures"]
    if not offered:
        raise InvalidRun(f"GET /catalogue?agency={agency}: no procedure; expected at least one to file dossiers for")
    charged = [procedure for procedure in offered if procedure["fee_vnd"] > 0] or offered
    return [[procedure["code"], procedure["name"], procedure["fee_vnd"]] for procedure in charged]


def _procedure_of(dossier: int, offered: list[list[Any]]) -> list[Any]:
    """What a dossier is filed for, whoever files it, as (code, name, fee in VND)."""
    return offered[dossier % len(offered)]


def _with_procedure(entry: dict[str, Any], procedures: dict[str, list[list[Any]]]) -> dict[str, Any]:
    """The same, for the procedure whose fee the plan pays."""
    agency, dossier = parse_dossier_code(entry["code"])
    return {**entry, "procedure": _procedure_of(dossier, procedures[agency])[0]}


def _chunks(entries: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    """Lists of at most `size`."""
    chunk: list[dict[str, Any]] = []
    for entry in entries:
        if len(chunk) == size:
            yield chunk
            chunk = []
        chunk.append(entry)
    if chunk:
        yield chunk
