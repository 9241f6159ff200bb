"""After a failure: what may be live is cancelled without the core, whatever else goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import cast

import pytest
from loguru import logger

from stall_then_strike.app.trader import live_end
from stall_then_strike.app.trader.live_end import cancel_directly
from stall_then_strike.engine.gateway import Reply, Request
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.venues.connection import Desk
from tests.engine.live_desk import LiveDesk, settle, struck


@pytest.fixture
def lines() -> Iterator[list[str]]:
    found: list[str] = []
    sink = logger.add(found.append, level="WARNING", format="{message}")
    yield found
    logger.remove(sink)


class Silent:
    """A venue that never answers."""

    async def send(self, batch: Sequence[Request]) -> Sequence[Reply]:
        await asyncio.Event().wait()
        return []


class Broken:
    """What goes wrong here, nobody has thought of."""

    async def send(self, batch: Sequence[Request]) -> Sequence[Reply]:
        raise ZeroDivisionError("a test")


def with_two_orders() -> LiveDesk:
    desk = settle(LiveDesk())
    struck(desk)
    assert len(desk.core.orders.live()) == 2
    return desk


async def test_cancels_without_an_answer_are_told_of(monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> None:
    monkeypatch.setattr(live_end, "_EMERGENCY_S", 0.05)
    await cancel_directly(with_two_orders().core, cast("Desk", Silent()), SystemClock())
    assert [line.strip() for line in lines] == [
        "cancelling 2 orders that may be live",
        "the cancels were not answered within 0.05 s: look at the account",
    ]


async def test_what_fails_at_one_instrument_leaves_the_others_to_be_cancelled(lines: list[str]) -> None:
    await cancel_directly(with_two_orders().core, cast("Desk", Broken()), SystemClock())
    assert "ZeroDivisionError" in "".join(lines)
    assert "look at the account" in "".join(lines)
