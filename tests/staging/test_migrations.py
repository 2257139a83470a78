"""Migrations: an older database becomes today's with all it held, once, whole or not at all; also on PostgreSQL 15."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from caodiem.errors import UsageError
from staging import migrations, postgres
from staging.service import running
from tests.staging.calls import Caller

CODE = "H01-20260701-0000001"
DEBIAN = Path("/usr/lib/postgresql/15/bin")
EVENT = {"code": CODE, "status": 2, "sequence": 1, "at": "20260609083000"}


@pytest.fixture
def empty(conninfo: str) -> Iterator[str]:
    """A schema with nothing in it."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("CREATE SCHEMA other")
    yield make_conninfo(conninfo, options="-c search_path=other")
    with psycopg.connect(conninfo) as connection:
        connection.execute("DROP SCHEMA other CASCADE")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the steps, to be added to or cut."""
    return Path(shutil.copytree(migrations.FOLDER, tmp_path / "steps", ignore=shutil.ignore_patterns("*.py", "__*")))


def migrate(conninfo: str, folder: Path = migrations.FOLDER) -> list[int]:
    with psycopg.connect(conninfo) as connection:
        return migrations.migrate(connection, folder)


def tables(conninfo: str) -> set[str]:
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        return {name for (name,) in rows.fetchall()}


def test_an_older_database_is_brought_up_with_what_it_held(empty: str, folder: Path) -> None:
    older = [step.path for step in migrations.steps(folder)][1:]
    for path in older:
        path.rename(path.with_suffix(".later"))
    assert migrate(empty, folder) == [1]
    with psycopg.connect(empty) as connection:
        connection.execute("INSERT INTO procedures VALUES ('1.000001.H01', 'H01', 'Cấp', 'cap', 'full', 0)")
        connection.execute("INSERT INTO accounts VALUES ('citizen-000000', 'citizen', '', '', '')")
        connection.execute(
            "INSERT INTO dossiers VALUES (%s, '1.000001.H01', 'citizen-000000', 1, 1, 'digest')", (CODE,)
        )
        connection.execute("UPDATE dossiers SET status = 2, version = 2")
        connection.execute("INSERT INTO payments VALUES (%s, 'paid', 5)", (CODE,))
        connection.execute("INSERT INTO dossier_history VALUES (%s, 9, 2, 4)", (CODE,))  # nothing forbade it yet
        connection.execute("DELETE FROM dossier_history WHERE version = 9")
    for path in older:
        path.with_suffix(".later").rename(path)
    assert migrate(empty, folder) == [*range(2, len(older) + 2)]
    assert migrate(empty, folder) == []
    with psycopg.connect(empty) as connection:
        history = connection.execute("SELECT version, previous, status FROM dossier_history ORDER BY version")
        assert history.fetchall() == [(1, None, 1), (2, 1, 2)]
        assert connection.execute("SELECT code FROM payments").fetchall() == [(CODE,)]
        connection.execute("UPDATE dossiers SET status = 4, version = 3")
        with pytest.raises(psycopg.errors.IntegrityError):
            connection.execute("INSERT INTO dossier_history VALUES (%s, 9, 2, 4)", (CODE,))


def test_two_at_once_apply_each_step_once(empty: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: migrate(empty), range(4)))
    everything = [step.number for step in migrations.steps()]
    assert sorted(applied, key=len) == [[], [], [], everything]


def test_a_step_that_fails_leaves_nothing_of_the_others(empty: str, folder: Path) -> None:
    number = len(migrations.steps()) + 1
    (folder / f"{number:04d}_broken.sql").write_text("CREATE TABLE half (); SELECT 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty, folder)
    assert tables(empty) == set()


def test_a_database_of_another_version_is_refused(empty: str, folder: Path) -> None:
    number = len(migrations.steps()) + 1
    later = folder / f"{number:04d}_later.sql"
    later.write_text("CREATE TABLE later ();")
    migrate(empty, folder)
    with pytest.raises(UsageError, match=f"migration {number}"):
        migrate(empty)
    later.write_text("CREATE TABLE another ();")
    with pytest.raises(UsageError, match=f"migration {number}"):
        migrate(empty, folder)


@pytest.mark.parametrize("name", ["0001_twice.sql", "0099_gap.sql", "later.sql"])
def test_steps_are_numbered_without_gaps(folder: Path, name: str) -> None:
    (folder / name).write_text("")
    with pytest.raises(ValueError, match="0001_name"):
        migrations.steps(folder)


@pytest.fixture
def debian(tmp_path: Path) -> Iterator[str]:
    """Debian's PostgreSQL 15 on a socket of its own; as root, run by the user that Debian made for it."""
    if not DEBIAN.is_dir():
        pytest.skip("needs Debian's postgresql-15")
    data = Path("/tmp") / f"caodiem-{os.getpid()}"  # a socket's path must be short
    data.mkdir(mode=0o700)
    run = {}
    if os.geteuid() == 0:
        shutil.chown(data, "postgres", "postgres")
        run = {"user": "postgres", "group": "postgres", "extra_groups": []}
    options = ("--auth=trust", "--no-sync", "--username=postgres", "--encoding=UTF8", "--locale=C")
    subprocess.run([DEBIAN / "initdb", *options, "-D", data / "d"], check=True, capture_output=True, cwd="/", **run)
    settings = ("-c", "listen_addresses=", "-c", f"unix_socket_directories={data}")
    server = subprocess.Popen([DEBIAN / "postgres", "-D", data / "d", *settings], cwd="/", **run)
    try:
        url = f"postgresql://postgres@/postgres?host={data}"
        postgres.wait_until_ready(server, url)
        yield url
    finally:
        with suppress(ProcessLookupError):
            server.terminate()
        server.wait(10)
        shutil.rmtree(data)


def test_the_portal_works_on_postgresql_15(tmp_path: Path, debian: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with psycopg.connect(debian) as connection:
        assert connection.info.server_version // 10_000 == 15
    monkeypatch.setenv(postgres.URL_VARIABLE, debian)
    with running(tmp_path / "log.txt") as portal:
        admin = Caller(portal.url, portal.admin_token)
        wanted = {"code": CODE, "status": 10, "citizen": "citizen-000001"}
        secret = admin.post("/admin/prepare", {"agencies": ["H01"], "citizens": 2, "dossiers": [wanted]}).body["secret"]

        def signed_in(account: str) -> Caller:
            reply = Caller(portal.url).post("/accounts/sign-in", {"account": account, "secret": secret})
            return Caller(portal.url, reply.body["token"])

        citizen, agency = signed_in("citizen-000001"), signed_in("agency-H01")
        document = admin.get("/admin/documents?count=1&signer=citizen-000001").body["documents"]
        filing = {"code": "H01-20260701-0000002", "procedure": "1.000001.H01", "components": document}
        assert citizen.post("/dossiers", filing).status == 201
        assert citizen.post(f"/dossiers/{CODE}/payment", {"amount_vnd": 25_000}).status == 201
        assert [each["status"] for each in citizen.get(f"/dossiers/{CODE}").body["history"]] == [1, 2, 4, 9, 10]
        for batch, told in (("a", (1, 0)), ("b", (0, 1))):
            reply = agency.post("/sync", {"batch": batch, "events": [EVENT]}).body
            assert (reply["accepted"], reply["stale"]) == told
        late = [{**EVENT, "sequence": 3}, {**EVENT, "sequence": 2}, {**EVENT, "sequence": 2, "status": 5}]
        reply = agency.post("/sync", {"batch": "c", "events": late}).body
        assert (reply["accepted"], [each["index"] for each in reply["rejected"]]) == (2, [2])
