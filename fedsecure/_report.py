"""Headings, sentences and tables on a terminal; tables through `rich` where it is installed."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

__all__ = ["Report", "busy"]

WIDTH = 80


@contextmanager
def busy(*, lines: bool) -> Iterator[Callable[[str], None]]:
    """Gives a function that says on stderr what is going on, as a moving line.

    Args:
        lines: Whether to print a line each time where there is no terminal, or no `rich`.
    """
    if not sys.stderr.isatty() or importlib.util.find_spec("rich") is None:
        yield lambda what: print(f"{what} ...", file=sys.stderr, flush=True) if lines else None
        return
    from rich.console import Console  # noqa: PLC0415  (optional at run time)

    with Console(stderr=True).status("") as status:
        yield lambda what: status.update(f"{what} ...")


class Report:
    """Where a command writes what it does.

    Args:
        stream: text goes here; by default to standard output.
        rich: draw tables with `rich`; by default if it is installed.
    """

    def __init__(self, stream: TextIO | None = None, *, rich: bool | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._rich = importlib.util.find_spec("rich") is not None if rich is None else rich

    def heading(self, text: str) -> None:
        """Prints a title with a line under it."""
        self._print(f"\n{text}\n{'=' * len(text)}")

    def say(self, text: str) -> None:
        """Prints a paragraph, with an empty line before it."""
        self._print("\n" + textwrap.fill(text, WIDTH))

    def quote(self, text: str) -> None:
        """Prints a paragraph of somebody else's words, indented."""
        self._print(textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="  "))

    def lines(self, *lines: str) -> None:
        """Prints lines as they are, indented."""
        self._print("\n".join(f"  {line}" for line in lines))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Prints a table: the first column to the left, the others to the right."""
        self._print("")
        if self._rich:
            self._rich_table(title, columns, rows)
        else:
            self._plain_table(title, columns, rows)

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def _rich_table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
    ) -> None:
        from rich import box  # noqa: PLC0415  (optional at run time)
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415

        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
        for position, column in enumerate(columns):
            table.add_column(column, justify="left" if position == 0 else "right")
        for row in rows:
            table.add_row(*row)
        Console(file=self._stream, highlight=False, markup=False).print(table)

    def _plain_table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
    ) -> None:
        heads = [column.split("\n") for column in columns]
        height = max(map(len, heads))
        # Short heads stand on the rule, as in the other drawing.
        padded = [[""] * (height - len(head)) + head for head in heads]
        cells = [*zip(*padded, strict=True), *rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        rule = tuple("-" * width for width in widths)
        self._print(title)
        for first, *rest in (*cells[:height], rule, *cells[height:]):
            parts = [first.ljust(widths[0])]
            parts += [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
            self._print("  " + "  ".join(parts).rstrip())
