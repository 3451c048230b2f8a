"""A bar on standard error while kernels are tuned, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

from xmlc.tuning.search import Progress, silent


@contextmanager
def progress_bar() -> Generator[Progress]:
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("tuning", total=None)

        def progress(name: str, done: int, total: int) -> None:
            bar.update(task, description=f"tuning @{name}", completed=done, total=total)

        yield progress
