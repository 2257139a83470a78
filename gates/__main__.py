"""`python -m gates BUDGET`: measure the gate itself on this repository's hot paths (`make gate-power`)."""

import signal
import sys
from pathlib import Path

from gates.budget import parse
from gates.planting import Place
from gates.power import HotPath, measure

# Verification is timed by the processor's clock, so that the planted work is the same on a busy machine; a sync waits
# for its database, so its share is one of the wall clock's time.
PATHS = [
    HotPath(
        "verification",
        "tests/benchmarks/gate/test_verification.py",
        Place("staging/signatures.py", (("Verifier", "verify"),), "time.process_time"),
    ),
    HotPath(
        "sync",
        "tests/benchmarks/gate/test_synchronisation.py",
        Place(
            "staging/status_sync.py",
            (("sys.modules[__name__]", "check"), ("sys.modules[__name__]", "apply")),
            "time.perf_counter",
        ),
    ),
]

if __name__ == "__main__":
    # Also in a shell's background, where Ctrl-C is ignored: who is told to stop cleans up.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.default_int_handler)
    measure(Path.cwd(), PATHS, parse(sys.argv[1]))
