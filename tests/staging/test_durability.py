"""`kill -9` of a worker, of PostgreSQL, of the portal under load: what was acknowledged is there, once and whole."""

import os
import signal
import threading
import time
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import count
from pathlib import Path

import psutil
import psycopg
import pytest

from caodiem.errors import UsageError
from staging import keys, postgres
from staging.service import Portal, kept_folder, running
from tests.staging.calls import Caller, Reply

AGENCY, CITIZENS, EVENTS = "H01", 4, 5
_BACK_WITHIN_S = 30.0


def _citizens() -> list[str]:
    return [f"citizen-{number:06d}" for number in range(CITIZENS)]


@dataclass
class Journal:
    """What the portal acknowledged, by dossier. A list's append is one step, so writers need no lock."""

    filed: list[str] = field(default_factory=list)
    paid: list[tuple[str, str]] = field(default_factory=list)  # code, transaction
    received: list[str] = field(default_factory=list)
    synced: list[str] = field(default_factory=list)  # each with the sequences 0 to EVENTS - 1
    unanswered: list[str] = field(default_factory=list)  # what nobody knows the end of
    odd: list[Reply] = field(default_factory=list)  # answers that nothing explains

    def __len__(self) -> int:
        return len(self.filed) + len(self.paid) + len(self.received) + len(self.synced)


class Load:
    """A closed loop of citizens who file, pay and are received, and whose agency reports it; each with own dossiers."""

    def __init__(self, portal: Portal, folder: Path) -> None:
        self.journal, self.folder = Journal(), folder
        self._admin = Caller(portal.url, portal.admin_token)
        wanted = {"agencies": [AGENCY], "citizens": CITIZENS, "dossiers": []}
        self._secret = self._admin.post("/admin/prepare", wanted).body["secret"]
        asked = {each: f"/admin/documents?count=1&signer={each}" for each in _citizens()}
        self._applications = {each: self._admin.get(path).body["documents"] for each, path in asked.items()}
        self._serials = count()
        self._stop = threading.Event()
        self._url = portal.url
        self._officer, self._agency = (self.sign_in(f"{role}-{AGENCY}") for role in ("officer", "agency"))
        self._threads = [threading.Thread(target=self._run, args=(account,)) for account in _citizens()]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def until_more(self, acknowledged: int) -> None:
        """Wait until so many more are acknowledged."""
        wanted, deadline_s = len(self.journal) + acknowledged, time.monotonic() + _BACK_WITHIN_S
        while len(self.journal) < wanted:
            assert time.monotonic() < deadline_s, f"{len(self.journal)} acknowledged, none for a long time"
            time.sleep(0.02)

    def sign_in(self, account: str) -> Caller:
        reply = Caller(self._url).post("/accounts/sign-in", {"account": account, "secret": self._secret})
        return Caller(self._url, reply.body["token"])

    def _run(self, account: str) -> None:
        citizen = self.sign_in(account)
        while not self._stop.is_set():
            code = f"{AGENCY}-20260705-{next(self._serials):07d}"
            filing = {"code": code, "procedure": f"1.000002.{AGENCY}", "components": self._applications[account]}
            if not self._ask(citizen, "/dossiers", filing):
                self.journal.unanswered.append(code)
                time.sleep(0.05)
                continue
            self.journal.filed.append(code)
            payment = self._ask(citizen, f"/dossiers/{code}/payment", {"amount_vnd": 25_000})
            if payment:
                self.journal.paid.append((code, payment.body["transaction"]))
            if self._ask(self._officer, f"/cases/{code}/receive", {}):
                self.journal.received.append(code)
            events = [{"code": code, "status": 2, "sequence": each, "at": "20260705083000"} for each in range(EVENTS)]
            if self._ask(self._agency, "/sync", {"batch": code, "events": events}):
                self.journal.synced.append(code)

    def _ask(self, caller: Caller, path: str, content: object) -> Reply | None:
        """The answer, if it is a good one."""
        try:
            reply = caller.post(path, content)
        except (OSError, HTTPException):
            return None
        if reply.status not in (200, 201, 503):
            self.journal.odd.append(reply)
        return reply if reply.status < 300 else None

    def check(self) -> None:
        """The journal against the tables: each once, and nothing that is not whole."""
        journal = self.journal
        assert journal.odd == []
        assert min(map(len, (journal.filed, journal.paid, journal.received, journal.synced))) > 0
        with psycopg.connect(keys.read(self.folder).conninfo) as connection:

            def rows(query: str) -> list[tuple[object, ...]]:
                return connection.execute(query).fetchall()  # type: ignore[arg-type]

            filed = dict(rows("SELECT code, count(*) FROM dossiers JOIN components USING (code) GROUP BY code"))
            assert set(journal.filed) <= set(filed)
            assert set(filed) <= set(journal.filed) | set(journal.unanswered)
            assert set(filed.values()) == {1}
            assert rows("SELECT count(*) FROM dossiers") == [(len(filed),)]
            assert set(journal.paid) <= set(rows("SELECT code, transaction FROM payments"))
            received = dict(rows("SELECT code, count(*) FROM dossier_history WHERE status = 2 GROUP BY code"))
            assert set(journal.received) <= set(received)
            assert set(received.values()) == {1}
            synced = dict(rows("SELECT code, count(*) FROM sync_events GROUP BY code"))
            assert set(journal.synced) <= set(synced)
            assert set(synced.values()) == {EVENTS}
            halves = """SELECT code FROM dossiers LEFT JOIN dossier_history h USING (code) GROUP BY code
                        HAVING count(h) <> max(dossiers.version) OR max(h.version) <> max(dossiers.version)
                            OR (array_agg(h.status ORDER BY h.version DESC))[1] <> max(dossiers.status)"""
            assert rows(halves) == []
            assert rows("SELECT batch FROM sync_batches WHERE answer IS NULL") == []


def worker_of(portal: Portal) -> psutil.Process:
    children = psutil.Process(portal.pid).children()
    return next(each for each in children if "spawn_main" in " ".join(each.cmdline()))


def postgres_of(portal: Portal) -> psutil.Process:
    return next(each for each in psutil.Process(portal.pid).children() if each.name() == "postgres")


def test_what_was_acknowledged_survives_the_death_of_postgresql(tmp_path: Path, kept: Path) -> None:
    with running(tmp_path / "log.txt", keep=kept) as portal, Load(portal, kept) as load:
        load.until_more(60)
        postgres_of(portal).kill()
        load.until_more(60)
        load.__exit__()
        load.check()
    assert "starting it again" in (tmp_path / "log.txt").read_text()


@pytest.mark.slow
def test_what_was_acknowledged_survives_every_death(tmp_path: Path, kept: Path) -> None:
    """Workers and PostgreSQL by turns, then the supervisor with all below it; then the same folder once more."""
    log = tmp_path / "log.txt"
    with running(log, workers=2, keep=kept) as portal, Load(portal, kept) as load:
        for victim_of in (worker_of, postgres_of, worker_of, postgres_of, postgres_of):
            load.until_more(300)
            victim_of(portal).kill()
        load.until_more(300)
        os.kill(portal.pid, signal.SIGKILL)
        time.sleep(1.0)
    with running(log, workers=2, keep=kept) as again:
        load.check()
        assert again.admin_token == portal.admin_token
        code, transaction = load.journal.paid[-1]
        citizens = [Load(again, kept).sign_in(account) for account in _citizens()]
        found = [each.get(f"/dossiers/{code}") for each in citizens]
        assert [reply.body["paid"] for reply in found if reply.status == 200] == [True]
        owner = citizens[[reply.status for reply in found].index(200)]
        repeated = owner.post(f"/dossiers/{code}/payment", {"amount_vnd": 25_000})
        assert (repeated.status, repeated.body["transaction"]) == (200, transaction)


@pytest.mark.skipif(os.geteuid() != 0, reason="others run PostgreSQL as themselves")
def test_a_folder_that_postgresql_cannot_reach_is_named(kept: Path) -> None:
    kept.mkdir(mode=0o700)
    folder = kept / "portal"
    folder.mkdir()
    with pytest.raises(UsageError, match=f"cannot come through {kept}; expected"), postgres.database(folder):
        pass


def test_a_folder_is_for_one_portal_and_not_for_anything_else(tmp_path: Path, kept: Path) -> None:
    with kept_folder(kept), pytest.raises(UsageError, match="another portal"), kept_folder(kept):
        pass
    (tmp_path / "letters").touch()
    with pytest.raises(UsageError, match="expected one, or an empty one"), kept_folder(tmp_path):
        pass
