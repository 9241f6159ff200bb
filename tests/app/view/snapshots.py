"""Snapshots made by hand: nothing known, everything known, live, and everything wrong; of one instrument and of two."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

from stall_then_strike.app.view.snapshot import (
    AccountLine,
    BudgetUse,
    Counts,
    DayFigures,
    DecisionLine,
    Fill,
    Halt,
    InstrumentSnapshot,
    Latency,
    LiveOrder,
    Snapshot,
    WantedQuote,
)
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, BoardState, BookStatus, Health, Side

TS = 1_795_246_213_123_456_789  # 2026-11-21T07:30:13Z

NOTHING = InstrumentSnapshot(product="FX_BTC_JPY", base="BTC", quote="JPY")
EMPTY = Snapshot(ts_ns=TS, mode="paper · bitFlyer", quote="JPY", instruments=(NOTHING,))


def changed(seen: Snapshot, **changes: Any) -> Snapshot:
    """With other values of the account, or else of its first instrument."""
    of_account = {one.name for one in fields(Snapshot)} - {"counts"}
    own = {name: changes.pop(name) for name in list(changes) if name not in of_account}
    first, *others = changes.pop("instruments", seen.instruments)
    return replace(seen, **changes, instruments=(replace(first, **own), *others))


FULL = Snapshot(
    ts_ns=TS,
    mode="paper · embedded exchange",
    uptime_s=754,
    connected=True,
    reconnects=1,
    quote="JPY",
    date="2026-11-21",
    day=DayFigures(
        pnl=Decimal("-16234.5"), realised=Decimal(-12_000), drawdown=Decimal(-17_000), max_drawdown=Decimal(-17_500)
    ),
    pnl_limit=Decimal(-30_000),
    drawdown_limit=Decimal(-20_000),
    equity=tuple(Decimal(step) for step in (0, -500, 800, 766, -3000, -9_000, -8_000, -17_000, -16_900, -16_234)),
    budget=(
        BudgetUse(name="private/5min", used=412, limit=500),
        BudgetUse(name="orders/5min", used=100, limit=300),
        BudgetUse(name="small/min", used=20, limit=100),
    ),
    latency=Latency(p50_us=31.2, p99_us=12_345, samples=5234),
    instruments=(
        replace(
            NOTHING,
            reason="stall_immature",
            venue_state=BoardState.RUNNING,
            venue_health=Health.NORMAL,
            book=BookStatus.OK,
            message_age_ms=45,
            stale_ms=700,
            best_bid=Decimal(13_600_000),
            best_ask=Decimal(13_601_500),
            spread_ticks=1500,
            best_age_ms=312,
            stall_ms=250,
            position=Decimal("-0.012"),
            max_position=Decimal("0.2"),
            avg_price=Decimal(13_600_444),
            counts=Counts(messages=5234, strikes=1200, fills=39, cancels=205, closes=12, rejects=3, garbage=2),
            orders=tuple(
                LiveOrder(
                    sent_ns=TS - 512 * NS_PER_MS,
                    client_order_id=f"k1-{number}s",
                    side=side,
                    price=Decimal(13_600_749),
                    size=Decimal("0.001"),
                    remaining=Decimal("0.0004"),
                    state="partial",
                    tag="stall",
                )
                for number, side in enumerate((Side.BUY, Side.SELL) * 4)
            ),
            quotes=(WantedQuote(side=Side.BUY, price=Decimal(13_600_749), size=Decimal("0.001")),),
            decisions=tuple(
                DecisionLine(
                    ts_ns=TS + n * NS_PER_S, decision_type="cancel", reason=f"ttl{n}", detail="cancel_all_stall 2"
                )
                for n in range(50)
            ),
            fills=tuple(
                Fill(
                    ts_ns=TS + n * NS_PER_S,
                    side=Side.BUY,
                    price=Decimal(13_600_749),
                    size=Decimal("0.001"),
                    pnl=Decimal(n) - 20,
                )
                for n in range(50)
            ),
        ),
    ),
)

LIVE = changed(
    FULL,
    mode="live · https://api.bitflyer.com",
    reason="budget",
    orders=FULL.instruments[0].orders[:2],
    account=AccountLine(is_live=True, is_settled=True, reported_s=3.2, lag_p99_ms=3.4),
    budget=(
        BudgetUse(name="address", used=157, limit=500),
        BudgetUse(name="private", used=157, limit=500),
        BudgetUse(name="orders", used=78, limit=300),
        BudgetUse(name="small orders", used=57, limit=100),
    ),
    budget_wait="small orders 57/100, spaced, next in 0.8 s",
)
BAD = changed(
    LIVE,
    connected=False,
    halt=Halt(reason="position_mismatch"),
    book=BookStatus.STALE,
    message_age_ms=3_600_000,
    venue_state=BoardState.CIRCUIT_BREAK,
    venue_health=Health.SUPER_BUSY,
    account=AccountLine(is_live=False, is_settled=False, reported_s=12_345, in_doubt=17, lag_p99_ms=1_234.5),
    budget_wait="pause after a refused or unsent request, next in 123.4 s",
    day=DayFigures(
        pnl=Decimal("-1234567.5"), realised=Decimal(-12_000), drawdown=Decimal(-17_000), max_drawdown=Decimal(-17_500)
    ),
    position=Decimal("-123.456"),
    max_position=Decimal(200),
    reconnects=1_234,
    counts=Counts(messages=52_345_678, strikes=123_456, fills=98_765, cancels=99_999, garbage=9_876),
)

ETH = replace(
    LIVE.instruments[0],
    product="ETH_JPY",
    base="ETH",
    reason="quoting",
    message_age_ms=310,
    best_bid=Decimal("499985.5"),
    best_ask=Decimal("500014.5"),
    spread_ticks=290,
    position=Decimal("0.37"),
    max_position=Decimal(2),
    avg_price=Decimal("499800.5"),
    day=DayFigures(pnl=Decimal("234.5"), realised=Decimal("234.5")),
    counts=Counts(messages=800, strikes=300, fills=11, cancels=100, closes=2),
    decisions=(
        DecisionLine(ts_ns=TS + 60 * NS_PER_S, decision_type="strike", reason="strike", detail="place 2"),
        DecisionLine(ts_ns=TS + 61 * NS_PER_S, decision_type="hold", reason="quoting"),
    ),
    fills=(
        Fill(
            ts_ns=TS + 60 * NS_PER_S,
            side=Side.SELL,
            price=Decimal("500014.5"),
            size=Decimal("0.01"),
            pnl=Decimal("14.5"),
        ),
    ),
    orders=(replace(LIVE.instruments[0].orders[0], price=Decimal("499999.5"), size=Decimal("0.01")),),
)
TWO = changed(
    LIVE,
    mode="live · embedded exchange",
    instruments=(
        replace(LIVE.instruments[0], day=DayFigures(pnl=Decimal(-16_469), realised=Decimal("-12234.5"))),
        ETH,
    ),
)
