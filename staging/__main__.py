"""`python -m staging`: serve the reference portal in the foreground."""

import argparse
import sys
from pathlib import Path

from caodiem import faults
from caodiem.errors import CaodiemError
from staging.service import serve, stop_when_orphaned, tell_ready


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m staging", description="Serve the reference portal on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one (default)")
    parser.add_argument("--workers", type=int, default=1, help="processes that answer requests (default 1)")
    parser.add_argument("--data", type=Path, help="folder for the temporary database (default: the system's)")
    parser.add_argument("--keep", type=Path, help="folder that keeps the database and all else for the next start")
    parser.add_argument("--faults", type=Path, help="TOML file whose [faults] say what goes wrong from the start")
    parser.add_argument("--tls", action="store_true", help="speak TLS, with a certificate by an authority made for it")
    parser.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)  # used by staging.service.running
    options = parser.parse_args()
    if options.ready_fd is not None:
        stop_when_orphaned()
    try:
        ready = tell_ready(options.ready_fd) if options.ready_fd is not None else None
        wrong = faults.read(options.faults) if options.faults else {}
        serve(
            options.port,
            options.workers,
            data=options.data,
            keep=options.keep,
            faults=wrong,
            tls=options.tls,
            ready=ready,
        )
    except CaodiemError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
