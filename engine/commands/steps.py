"""Where commands write: spinners on a terminal, plain lines elsewhere, JSON lines for machines.

What is said holds names and messages from elsewhere: it is shown as it stands, neither markup nor control characters
in it are obeyed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from engine.printable import escaped, escaped_lines


def plain(value: object, style: str = "") -> Text:
    """A name or another text from elsewhere, in one line, for a table or a sentence."""
    return Text(escaped(str(value)), style=style)


def print_line(text: str) -> None:
    """Where there is no terminal. That the reader has left is an error here, upon which what is open can be closed."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def forget_reader() -> None:
    """Who read standard output has left: what is still in our buffer goes nowhere, without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Screen:
    """`as_json`: one object a line with an `event`, and nothing else."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self.console = Console(highlight=False, soft_wrap=True)
        self._progress: Progress | None = None

    @contextmanager
    def starting(self) -> Iterator[None]:
        """While this is open on a terminal, steps turn; elsewhere each is a line when it is done."""
        if self.as_json or not self.console.is_terminal:
            yield
            return
        columns = (SpinnerColumn(finished_text="[green]✓[/]"), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as self._progress:
            yield
        self._progress = None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One step; it is done when the block ends without an error."""
        started_s = time.monotonic()
        progress = self._progress
        task = progress.add_task(name, total=None) if progress else None
        yield
        if progress and task is not None:
            progress.update(task, total=1, completed=1)
        else:
            took_s = time.monotonic() - started_s
            self.event("step", f"  {name} ({took_s:.1f} s)", name=name, seconds=round(took_s, 2))

    def event(self, event: str, text: str | Text, **fields: Any) -> None:
        """One thing that happened: `text` for people, `fields` for machines. Lines of `text` are ours: what could bring
        others goes through `escaped` before.
        """
        if self.as_json:
            print_line(json.dumps({"event": event, **fields}))
            return
        shown = Text(escaped_lines(text)) if isinstance(text, str) else text
        if self.console.is_terminal:
            self.console.print(shown)
        else:
            print_line(shown.plain)
