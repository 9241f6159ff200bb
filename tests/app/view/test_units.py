"""A run's texts name the product's own assets."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from stall_then_strike.app.view.panel import render
from stall_then_strike.app.view.snapshot import InstrumentSnapshot, Snapshot
from stall_then_strike.app.view.summary import minute_line, summary_table
from stall_then_strike.types.dto import Command, Notice, Reason
from stall_then_strike.types.instrument import base_of, quote_of
from tests.engine.core_rig import config
from tests.engine.live_desk import settle, settled_desk, struck


@pytest.mark.parametrize(
    ("product", "base", "quote"),
    [
        ("FX_BTC_JPY", "BTC", "JPY"),
        ("ETH_JPY", "ETH", "JPY"),
        ("ETH_BTC", "ETH", "BTC"),
        ("BTCJPY28", "BTCJPY28", ""),
    ],
)
def test_assets_by_the_products_code(product: str, base: str, quote: str) -> None:
    assert (base_of(product), quote_of(product)) == (base, quote)


def shown(what: object) -> str:
    console = Console(file=io.StringIO(), width=120, height=40)
    console.print(what)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_summary_panel_and_minute_line_of_another_product() -> None:
    one = InstrumentSnapshot(product="ETH-PERP", base="ETH", quote="USDC")
    seen = Snapshot(ts_ns=0, mode="paper", quote="USDC", instruments=(one,))
    for text in (minute_line(seen), shown(render(seen)), shown(summary_table(seen))):
        assert "ETH" in text
        assert "USDC" in text
        assert "BTC" not in text
        assert "JPY" not in text


def test_the_cores_lines_of_another_product() -> None:
    cfg = config(exchange={"product_code": "ETH_JPY"}, ws={"channels": []})
    desk = settled_desk(cfg)
    bid, _ = struck(desk)
    desk.filled(desk.ms, bid)
    desk.control(desk.ms, Command.HALT, Reason.OPERATOR)
    desk.board(desk.ms + 10)
    settle(desk.killed(), desk.ms, position=5)
    texts = [row.text for row in desk.rows if isinstance(row, Notice)]
    assert any("ETH" in text for text in texts)
    assert not any("BTC" in text for text in texts)
