"""One portal and one bare database for all tests of the staging package."""

import os
import shutil
import tempfile
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from staging import keys, postgres
from staging.service import Portal, running
from tests.staging.calls import Caller, collected

AGENCIES = ["H01", "H02", "G09"]
CITIZENS = 6


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks back on the others runs after them, and knows which there were, slow ones too."""
    collected.update(item.path.name for item in items if item.path.parent == Path(__file__).parent)
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.fixture(scope="session")
def data() -> Iterator[Path]:
    """Where the portal makes its folder. Not under pytest's folders: a socket's path must be short."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # open to PostgreSQL, which may run as another user
        yield Path(folder)


@pytest.fixture(scope="session")
def portal(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Iterator[Portal]:
    with running(tmp_path_factory.mktemp("portal") / "log.txt", data=data) as portal:
        yield portal


@pytest.fixture(scope="session")
def folder(portal: Portal, data: Path) -> Path:
    """The portal's own folder: its keys and authorities, the way to its database."""
    (found,) = data.glob(f"*/{keys.FILE}")
    return found.parent


@pytest.fixture(scope="session")
def admin(portal: Portal) -> Caller:
    return Caller(portal.url, portal.admin_token)


@pytest.fixture(scope="session")
def secret(admin: Caller) -> str:
    reply = admin.post("/admin/prepare", {"agencies": AGENCIES, "citizens": CITIZENS, "dossiers": []})
    assert reply.status == 200
    return str(reply.body["secret"])


@pytest.fixture(scope="session")
def signed_in(portal: Portal, secret: str) -> Callable[[str], Caller]:
    """A caller for an account's name."""
    known: dict[str, Caller] = {}

    def caller(account: str) -> Caller:
        if account not in known:
            reply = Caller(portal.url).post("/accounts/sign-in", {"account": account, "secret": secret})
            assert reply.status == 200, reply
            known[account] = Caller(portal.url, reply.body["token"])
        return known[account]

    return caller


@pytest.fixture(scope="session")
def application(admin: Caller, secret: str) -> Callable[[str], dict[str, str]]:
    """A document signed by a citizen, by the citizen's account."""
    return cache(lambda account: admin.get(f"/admin/documents?count=1&signer={account}").body["documents"][0])


@pytest.fixture(scope="session")
def documents(admin: Caller, application: Callable[[str], dict[str, str]]) -> list[dict[str, str]]:
    """What citizen-000000 files: an application, and two papers that an agency issued; name, content in base64."""
    reply = admin.get("/admin/documents?count=2")
    assert reply.status == 200
    found = [application("citizen-000000"), *reply.body["documents"]]
    assert all(b64decode(document["content"]).startswith(b"%PDF") for document in found)
    return found


@pytest.fixture(scope="session")
def scans(admin: Caller, secret: str) -> list[dict[str, str]]:
    """Two documents signed by the officer of H01."""
    return list(admin.get("/admin/documents?count=2&signer=officer-H01").body["documents"])


@pytest.fixture
def prepared(admin: Caller, secret: str) -> Callable[[int], str]:
    """Makes a dossier of H01 and citizen-000001 in a status; returns its code."""

    def make(status: int) -> str:
        code = f"H01-20260701-{next(_serials):07d}"
        dossier = {"code": code, "status": status, "citizen": "citizen-000001"}
        reply = admin.post("/admin/prepare", {"agencies": [], "citizens": 0, "dossiers": [dossier]})
        assert reply.status == 200, reply
        return code

    return make


_serials = iter(range(10**7))


@pytest.fixture
def kept() -> Iterator[Path]:
    """A folder for a portal, with a path that is short enough for a socket's and open to PostgreSQL's user."""
    folder = Path("/var/tmp") / f"caodiem-kept-{os.getpid()}"
    yield folder
    assert folder.exists()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def conninfo() -> Iterator[str]:
    """An empty portal database, without a portal. Not under pytest's folders: a socket's path must be short."""
    with tempfile.TemporaryDirectory() as folder, postgres.database(Path(folder)) as conninfo:
        yield conninfo
