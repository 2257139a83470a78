"""A gateway small enough to read: one address, the service in the body, HTTP 200 whatever comes of it.

    python gateway_portal.py

prints its address, then serves until it is killed. `error_code` comes in another of its three forms every time.
"""

import argparse
import asyncio
import itertools
from typing import Any

from small_portal import Reply, SmallPortal, serve

_SUCCESS = itertools.cycle(["00", "0", 0])


class Gateway(SmallPortal):
    """Statuses by code; a dossier is known once it was synchronised."""

    def __init__(self) -> None:
        super().__init__(service_s=0.0, redirect_to="")
        self.routes = [(r"POST /gateway", self.call)]
        self.sessions: set[str] = set()

    def call(self, envelope: dict[str, Any]) -> Reply:
        service, (item, *_) = envelope["service"], envelope["data"]
        if service == "DangNhap":
            self.sessions.add(f"session of {item['TaiKhoan']}")
            return _answer([{"session": f"session of {item['TaiKhoan']}"}])
        if service == "DongBoHoSoMC":
            self.statuses.update({each["MaHoSo"]: int(each["TrangThaiHoSo"]) for each in envelope["data"]})
            return _answer(envelope["data"])
        if envelope["session"] not in self.sessions:
            return 200, {"error_code": "-1", "result": []}
        if service == "LayDanhMucThuTuc":
            return _answer([self.procedure()])
        known = item["MaHoSo"] in self.statuses
        return _answer([{**item, "TrangThai": self.statuses[item["MaHoSo"]]}] if known else [])


def _answer(result: list[dict[str, Any]]) -> Reply:
    return 200, {"error_code": next(_SUCCESS), "result": result}


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    asyncio.run(serve(Gateway()))
