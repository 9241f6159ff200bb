"""A handmade log folder: rows as text, in the format that a run writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stall_then_strike.infra.logging_structured import columns

DAY = "20260105"


def at(second: float) -> str:
    """A stamp so many seconds after noon UTC."""
    minute, rest = divmod(second, 60)
    return f"2026-01-05T12:{int(minute):02d}:{rest:09.6f}Z"


def trade(
    second: float, order: str, side: str, price: int, after: str, pnl: str = "0", cum: str = "0", **more: str
) -> str:
    size, fee, tag = more.get("size", "0.001"), more.get("fee", "0"), more.get("tag", "stall")
    return f"{at(second)},{order},{side},{price},{size},{fee},stall_then_strike,{tag},{pnl},{cum},{after}"


def place(second: float, order: str, side: str, price: int) -> str:
    return f"{at(second)},place,{order},c-{order},{side},{price},0.001,GTC,800,stall,strike"


def strike(second: float, age: int, spread: int, bid: int, ask: int) -> str:
    acts = f"place_limit BUY 0.001@{bid}; place_limit SELL 0.001@{ask}"
    return f"{at(second)},{age},{spread},0,strike,{bid},{ask},{acts},strike"


def hold(second: float, reason: str) -> str:
    return f"{at(second)},0,1000,0,hold,,,,{reason}"


def write(folder: Path, kind: str, rows: Sequence[str], day: str = DAY) -> Path:
    path = folder / kind / f"{kind}-{day}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in (",".join(columns()[kind]), *rows)))
    return path
