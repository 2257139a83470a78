"""Progress bars on a terminal, nothing in a pipe. Bars go to standard error; standard output stays for results."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

Bar = Callable[[float], None]


class Bars:
    """Hands out bars; each is a function that is told the share done, from 0 to 1."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown

    def bar(self, title: str) -> Bar:
        task = self._shown.add_task(title, total=1.0)

        def advance(share: float) -> None:
            self._shown.update(task, completed=min(share, 1.0))

        return advance


@contextmanager
def bars() -> Iterator[Bars]:
    """Bars that are shown for as long as the block runs, if standard error is a terminal."""
    columns = (TextColumn("{task.description:<34}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(
        *columns, TimeElapsedColumn(), console=Console(stderr=True), disable=not sys.stderr.isatty()
    ) as shown:
        yield Bars(shown)
