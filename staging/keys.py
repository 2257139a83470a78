"""The secrets of one portal, made at start-up and shared by its workers through a file that only they can read.

They live as long as the portal's folder. Nothing here is ever logged.
"""

import secrets
from pathlib import Path

import msgspec

# Tells a worker where the portal's folder is.
FOLDER_VARIABLE = "CAODIEM_STAGING_FOLDER"
FILE = "keys.json"
PKI_FOLDER = "pki"


class Keys(msgspec.Struct, frozen=True):
    """`conninfo` stands with them because it may hold a password."""

    token_key: bytes
    admin_token: str
    account_secret: str
    bank_key: bytes
    identity_key: bytes  # the number that an EC key is made of
    conninfo: str
    url: str  # where the portal listens

    def __repr__(self) -> str:
        """Nothing of what it holds: a message or a log may show it."""
        return "Keys(…)"


def make(conninfo: str, url: str, folder: Path) -> Keys:
    """New ones, or those that an earlier portal left in `folder`; there for the workers to read."""
    if (folder / FILE).exists():
        keys = msgspec.structs.replace(read(folder), conninfo=conninfo, url=url)
    else:
        keys = Keys(
            token_key=secrets.token_bytes(32),
            admin_token=secrets.token_urlsafe(24),
            account_secret=secrets.token_urlsafe(12),
            bank_key=secrets.token_bytes(32),
            identity_key=b"\1" + secrets.token_bytes(30),  # below P-256's order, whatever the 30 bytes are
            conninfo=conninfo,
            url=url,
        )
    write(keys, folder)
    return keys


def write(keys: Keys, folder: Path) -> None:
    path = folder / FILE
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.encode(keys))


def read(folder: Path) -> Keys:
    return msgspec.json.decode((folder / FILE).read_bytes(), type=Keys)
