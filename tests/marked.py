"""Processes that a test started, found by a mark in their environment whoever their parent is by now."""

import psutil

VARIABLE = "CAODIEM_TEST_MARK"


def alive(mark: str) -> list[psutil.Process]:
    """Those that carry the mark and have not ended."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(VARIABLE) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
