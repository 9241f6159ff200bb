"""Tables at any width: no word and no number is broken."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from stall_then_strike.app.shell.wide_table import print_table

CELLS = ("12", "strategy-name-that-is-long", "-1,234,567.89", "66.7%", "1.234", "-449.17")
HEADS = ("set", "quote_mode", "drawdown JPY", "filled", "Sharpe", "markout 1 s")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_every_word_stays_whole(width: int) -> None:
    table = Table(title="best of 3 sets", caption="one without a fill")
    for head in HEADS:
        table.add_column(head, justify="right", overflow="fold")
    table.add_row(*CELLS)
    console = Console(file=io.StringIO(), width=width)
    print_table(console, table)
    assert isinstance(console.file, io.StringIO)
    out = console.file.getvalue()
    for text in (*CELLS, *HEADS):
        assert text in out
    assert max(map(len, out.splitlines())) <= width
    assert "best of 3 sets" in out
    assert "one without a fill" in out
