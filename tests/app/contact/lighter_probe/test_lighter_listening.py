"""A probe of the embedded Lighter over real sockets: nothing deviates; of a deviating one, all is found and named."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.contact_report import report_text
from stall_then_strike.app.contact.lighter_probe.lighter_listening import listen_at_lighter
from stall_then_strike.app.contact.shadowing import Shadowing
from stall_then_strike.app.contact.watching import Figures
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.venues.embedded_lighter import account_at
from tests.app.contact.deviant import Deviation
from tests.app.contact.lighter_deviant import MID, WAYS, LighterDeviant
from tests.lighter.trader_rig import TradingRoom, trading_room
from tests.live.pace import steady_clock

pytestmark = pytest.mark.alone

ACCOUNT = 7_012_345
SPEED = 4.0
DURATION_S = 48.0
"""Of the exchange's time: twelve seconds."""


async def trade(room: TradingRoom, ending: Ending) -> int:
    """Somebody trades on the account, with another key and without deviations."""
    async with room.open(ending) as run:
        return await run.run(None)


async def probed(
    folder: Path, ways: Sequence[Deviation], *, is_private: bool = True
) -> tuple[Deviations, Figures, list[str]]:
    """What was found, and the calls that came to the exchange but the trader's."""
    async with steady_clock(SPEED) as clock, trading_room(folder, clock=clock, account_index=ACCOUNT) as room:
        key = room.exchange.add_key(room.account.account_index, 5)
        async with LighterDeviant(room.exchange.base_url, room.exchange.ws_url, ways) as relay:
            cfg = room.cfg.at(*relay.addresses).by_instrument()[0]
            account = account_at(room.exchange, key) if is_private else None
            ending = Ending()
            trading = asyncio.create_task(trade(room, ending)) if is_private else None
            if trading is not None:
                await room.wait(lambda: len(room.books.trades) > 1, 60)
            sent = [one.what for one in room.exchange.audit.records() if "send" in one.what]
            found, figures = await listen_at_lighter(cfg, clock, account, Ending(), DURATION_S)
            ending.ask("the test is over")
            if trading is not None:
                assert await trading == 0
            elif sent:
                raise AssertionError(sent)
            text = report_text("Probe of the venue", "on loopback", 0, figures, found)
            assert key.private_key not in text
            assert str(ACCOUNT) not in text
            return found, figures, [one.what for one in room.exchange.audit.records()]


@pytest.mark.slow(seconds=25)
@pytest.mark.parametrize("is_private", [True, False])
async def test_faithful_exchange_has_no_deviation(is_private: bool, tmp_path: Path) -> None:
    found, figures, calls = await probed(tmp_path, (), is_private=is_private)
    assert [(one.name, one.seen, one.example) for one in found] == []
    assert figures.connections == 1
    assert figures.calls > (30 if is_private else 12)
    assert figures.mids[1] == figures.mids[0] > 20
    assert not is_private or figures.events > 10
    assert is_private or not any("send" in call for call in calls)


@pytest.mark.slow(seconds=30)
async def test_every_deliberate_deviation_is_found_and_named(tmp_path: Path) -> None:
    found, figures, _ = await probed(tmp_path, list(WAYS.values()))
    assert len(WAYS) >= 30
    assert [(way, one.found) for way, one in WAYS.items() if one.found not in found.names] == []
    text = report_text("Probe of the venue", "on loopback", 0, figures, found)
    assert all(f"### {one.found}" in text for one in WAYS.values())


@pytest.mark.slow(seconds=15)
async def test_mid_price_beside_the_book_is_found(tmp_path: Path) -> None:
    found, _, _ = await probed(tmp_path, [MID], is_private=False)
    assert MID.found in found.names


@pytest.mark.slow(seconds=20)
async def test_shadow_run_finds_the_same_in_messages(tmp_path: Path) -> None:
    """And sends no transaction."""
    names = ("another word for a trade", "an unknown type", "a stamp in seconds", "a text is a number")
    ways = [WAYS[name] for name in names]
    async with steady_clock(SPEED) as clock, trading_room(tmp_path, clock=clock, account_index=ACCOUNT) as room:
        shadowing = Shadowing()
        room.through = shadowing.through
        room.attend = lambda run: shadowing.attend(run, Ending())
        async with LighterDeviant(room.exchange.base_url, room.exchange.ws_url, ways) as relay:
            room.cfg = room.cfg.at(*relay.addresses)
            assert await room.run(40) == 0
        shadowing.finish()
        assert {way.found for way in ways} == set(shadowing.deviations.names)
        assert str(ACCOUNT) not in shadowing.report("loopback")
        assert not any("send" in one.what for one in room.exchange.audit.records())
