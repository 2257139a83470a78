"""The small portal with a fault: every third search of the catalogue is answered in an odd way.

    python odd_portal.py garbage|half|wrong|lead|reset|slow

prints its address, then serves until it is killed.
"""

import asyncio
import socket
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.loadtests.small_portal import SmallPortal

SLOW_S = 1.5
_RESET_WHEN_CLOSED = struct.pack("ii", 1, 0)
_SAID = {
    "garbage": b"\x00\xff\xfe no answer at all \x00\r\n\r\n",
    "half": b"HTTP/1.1 200 X\r\nContent-Length: 900\r\n\r\n{",
    "wrong": b'HTTP/1.1 200 X\r\nContent-Length: 18\r\n\r\n{"procedures": []}',
    "lead": b"HTTP/1.1 302 X\r\nContent-Length: 0\r\nLocation: /elsewhere\r\n\r\n",
    "reset": b"",
}


class OddPortal(SmallPortal):
    """Counts searches; the preparation asks for catalogues without a word to search for, and gets them."""

    def __init__(self, mode: str) -> None:
        super().__init__(0.0, "")
        self._mode = mode
        self._searches = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                is_search = head.startswith("GET /catalogue?q=") and "q=&" not in head
                self._searches += is_search
                if not is_search or self._searches % 3:
                    body = b""
                    if length := [line for line in head.split("\r\n") if line.lower().startswith("content-length:")]:
                        body = await reader.readexactly(int(length[0].split(":")[1]))
                    writer.write(self.answer(head, body))
                elif self._mode == "slow":
                    await asyncio.sleep(SLOW_S)
                    writer.write(self.answer(head, b""))
                else:
                    writer.write(_SAID[self._mode])
                    if self._mode in ("half", "reset", "garbage"):
                        break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        if self._mode == "reset":
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_WHEN_CLOSED)
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(OddPortal(sys.argv[1]).serve, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
