"""Tables of texts, also on a terminal that is too narrow for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

_INDENT: Final = "  "
_UNLIMITED: Final = 10_000
"""Width that no table exceeds, for measuring its natural width."""


def text_table(title: str, heads: Iterable[str], rows: Iterable[Iterable[str]], **look: Any) -> Table:
    """A table of texts that are not broken. A head that begins with ``>`` stands over numbers, which end at the right.

    ``look`` are further settings of a `Table`.
    """
    table = Table(title=title, title_justify="left", **look)
    for head in heads:
        table.add_column(head.removeprefix(">"), justify="right" if head.startswith(">") else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def print_table(console: Console, table: Table) -> None:
    """Print a table of texts; if it is too wide, print each row as a paragraph, so that no word is broken."""
    if console.measure(table, options=console.options.update(width=_UNLIMITED)).maximum <= console.width:
        console.print(table)
        return
    console.print(table.title, markup=False, highlight=False, soft_wrap=True)
    heads = [str(column.header) for column in table.columns]
    for row in zip(*(column.cells for column in table.columns), strict=True):
        told = [f"{head} {cell}".strip() for head, cell in zip(heads, row, strict=True) if cell]
        console.print(_paragraph(told, console.width), markup=False, highlight=False, soft_wrap=True)
    if table.caption:
        console.print(table.caption, markup=False, highlight=False, soft_wrap=True)


def _paragraph(told: list[str], width: int) -> str:
    """The first part on a line, the others below it with commas; lines break between parts only."""
    lines = [told[0]]
    line = ""
    for part in told[1:]:
        if line and len(line) + len(part) + 4 > width:
            lines.append(f"{_INDENT}{line},")
            line = part
        else:
            line = f"{line}, {part}" if line else part
    return "\n".join([*lines, f"{_INDENT}{line}"] if line else lines)
