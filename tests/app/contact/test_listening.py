"""A probe of the embedded exchange over real sockets: nothing deviates; of a deviating one, all is found and named."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from stall_then_strike.app.contact.contact_report import report_text
from stall_then_strike.app.contact.listening import listen
from stall_then_strike.app.contact.watching import Figures, Watch
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.infra.http_bitflyer import BitflyerHttp
from stall_then_strike.sim.exchange.flow_model import FlowModel
from stall_then_strike.types.dto import Side
from stall_then_strike.types.instrument import Lots, Ticks
from stall_then_strike.venues.bitflyer_connection import BitflyerConnection
from tests.app.contact.deviant import DEVIATIONS, PRODUCT, Deviant, Deviation, faults_of
from tests.live.rig import KEY, LiveRoom, live_room
from tests.signing import SIGNED

pytestmark = [SIGNED, pytest.mark.alone]

SPEED = 4.0
DURATION_S = 44.0
"""Of the exchange's time: eleven seconds."""


async def trade_by_hand(room: LiveRoom) -> None:
    """Somebody trades on the account: orders that rest and are cancelled, and some that are filled."""
    async with BitflyerConnection(room.cfg, room.clock, room.account) as hand:
        (http,) = hand.https
        last = Ticks(int(await http.get_last_price()))
        await room.pass_time(8)
        for _ in range(4):
            resting = await place(http, Side.BUY, Ticks(last * 9 // 10))
            await place(http, Side.BUY, Ticks(last * 11 // 10))
            await place(http, Side.SELL, Ticks(last * 9 // 10 + 5))
            await room.pass_time(2)
            await http.cancel_order(resting)
            await room.pass_time(3)


async def place(http: BitflyerHttp, side: Side, price: Ticks) -> str:
    return await http.send_limit_order(PRODUCT, side, price, Lots(100_000), 0, "by hand")


async def probed(folder: Path, ways: Sequence[Deviation], *, is_private: bool = True) -> tuple[Watch, Figures]:
    async with (
        live_room(folder, speed=SPEED, model=FlowModel(), faults=faults_of(ways)) as room,
        Deviant(room.exchange.base_url, room.exchange.ws_url, ways) as relay,
    ):
        cfg = room.cfg.at(*relay.addresses)
        account = room.account if is_private else None
        async with asyncio.TaskGroup() as tasks:
            hand = tasks.create_task(trade_by_hand(room)) if is_private else None
            watch, figures = await listen(cfg, room.clock, account, Ending(), DURATION_S)
            if hand is not None:
                await hand
        assert watch.stream.connects == 1
        return watch, figures


@pytest.mark.slow(seconds=13)
async def test_faithful_exchange_has_no_deviation(tmp_path: Path) -> None:
    watch, figures = await probed(tmp_path, ())
    assert [(one.name, one.seen, one.example) for one in watch.deviations] == []
    assert figures.events > 12
    assert figures.calls > 30
    assert figures.mids[1] == figures.mids[0] > 200


@pytest.mark.slow(seconds=13)
async def test_every_deliberate_deviation_is_found_and_named(tmp_path: Path) -> None:
    watch, figures = await probed(tmp_path, list(DEVIATIONS.values()))
    names = watch.deviations.names
    assert len(DEVIATIONS) >= 20
    assert [way for way, one in DEVIATIONS.items() if one.found not in names] == []
    text = report_text("Probe of the venue", "on loopback", 0, figures, watch.deviations)
    for one in DEVIATIONS.values():
        assert f"### {one.found}" in text
    assert KEY.key not in text
    assert KEY.secret not in text
