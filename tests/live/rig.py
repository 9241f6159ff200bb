"""The room of the embedded bitFlyer, in which the daemon trades."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.products import InstrumentConfig
from stall_then_strike.infra.bitflyer.bitflyer_rules import EXPIRY_NS
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.sim.bitflyer.keys import ApiKey
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings, PrivateVenue
from stall_then_strike.sim.bitflyer.venue_hours import Calendar
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.exchange.flow_model import BANDS, FlowModel
from stall_then_strike.types.dto import NS_PER_S, Fact
from stall_then_strike.types.instrument import fx_btc_jpy
from stall_then_strike.venues.embedded_bitflyer import open_accounts, open_markets, source_of
from tests.live.pace import steady_clock
from tests.live.room import Room, config_of

KEY = ApiKey(key="key-of-the-room", secret="made up for tests")
TWO = ({"product_code": "FX_BTC_JPY"}, {"product_code": "ETH_JPY", "tick_size": Decimal("0.1")})
"""Two instruments, the second with prices in tenths."""
FEW_FAR_AWAY = FlowModel(
    bands=[replace(band, per_s=band.per_s / rarer) for band, rarer in zip(BANDS, (1, 1, 4, 8, 16, 16), strict=True)]
)
"""The market near the touch, where the daemon trades; of the orders behind it, which cost half the time, a part."""
OPEN_ALL_DAY = Calendar(maintenance=None, breaker=None, funding_at_s=(), rollover_at_s=None)
"""Nothing is done by the clock: what a test sees must not depend on the hour at which it runs."""
SHORT = {"timeout_sec": Decimal("0.5")}
"""Real seconds: a lost answer is to be noticed soon, also at speed."""
UNHURRIED = {"timeout_sec": Decimal(10)}
"""Where no answer is lost, a machine that is busy or stands still for a moment may take its time for each."""


def live_config(
    exchange: BitflyerExchange,
    folder: Path,
    *,
    instruments: Sequence[Mapping[str, Any]] = (),
    **sections: Mapping[str, Any],
) -> AppConfig:
    """Live settings for an exchange on loopback, with pauses short enough for fast time."""
    tree = {
        "exchange": {"base_url": exchange.base_url, "ws_url": exchange.ws_url},
        "pybotters": UNHURRIED,
        "ws": {"reconnect_min_sec": Decimal("0.05")},
        "journal": {"dir": str(folder / "journal")},
        "instruments": list(instruments),
    }
    return config_of(tree, sections)


class LiveRoom(Room):
    """The embedded bitFlyer with an account."""

    exchange: BitflyerExchange

    def __init__(
        self, folder: Path, clock: ScaledClock, venue: PrivateVenue, exchange: BitflyerExchange, cfg: AppConfig
    ) -> None:
        super().__init__(folder, clock, exchange, cfg, Credentials(key=KEY.key, secret=KEY.secret))
        self.venue = venue

    # --- what is left behind

    def facts(self, what: str | None = None) -> list[Fact]:
        """What the journal tells of all instruments together, or of one kind."""
        with self.reader as reader:
            return [fact for fact in reader.facts() if what in {None, fact.what}]

    def working(self) -> list[str]:
        """Orders on the book, or on their way there, for longer than they may live."""
        now_ns = self.clock.now_ns()
        accounts = [venue.accounts["main"] for venue in self.venue.products.values()]
        live = [order for account in accounts for order in account.live.values()]
        return [o.acceptance_id for o in live if now_ns - o.accepted_ns > EXPIRY_NS + 5 * NS_PER_S]

    def check(self, *, is_truth_known: bool = True) -> None:
        """What was left behind is the ledger's, to the unit, and limits hold."""
        for number, venue in enumerate(self.venue.products.values()):
            ledger = venue.ledger()
            cash = ledger.funding - sum(fill.side.sign * fill.price * fill.size for fill in ledger.fills)
            ids = [fill.exec_id for fill in ledger.fills]
            self.check_books(number, ids, ledger.position, cash, is_truth_known=is_truth_known)
        assert self.venue.limit_breaches == 0, "limits"
        assert not self.working(), "orders that work for too long"


@asynccontextmanager
async def live_room(
    folder: Path,
    *,
    speed: float = 20.0,
    seed: int = 7,
    settings: PrivateSettings | None = None,
    model: FlowModel = FEW_FAR_AWAY,
    start_ns: int | None = None,
    clock: ScaledClock | None = None,
    sections: Mapping[str, Mapping[str, Any]] | None = None,
    instruments: Sequence[Mapping[str, Any]] = (),
    **more: Any,
) -> AsyncIterator[LiveRoom]:
    """An exchange in fast time, by default from one noon on, or on a clock that runs already; ``more`` goes to it.

    Its time waits for the event loop, so that a busy machine looks neither like a slow venue nor like a dead line.
    ``sections`` change settings. ``instruments`` are those of the account if there are several.
    """
    async with AsyncExitStack() as stack:
        if clock is None:
            clock = await stack.enter_async_context(steady_clock(speed, start_ns))
        units = [InstrumentConfig.model_validate(one).instrument() for one in instruments] or [fx_btc_jpy()]
        markets = open_markets(units, seed, clock.now_ns(), model)
        settings = PrivateSettings(seed=seed, calendar=OPEN_ALL_DAY) if settings is None else settings
        venue = open_accounts(markets, [KEY], settings)
        exchange = BitflyerExchange(source_of(markets), clock=clock, private=venue, **more)
        await stack.enter_async_context(exchange)
        cfg = live_config(exchange, folder, instruments=instruments, **(sections or {}))
        yield LiveRoom(folder, clock, venue, exchange, cfg)


async def ended(task: asyncio.Task[int], seconds: float = 60.0) -> int:
    """The exit code of a run that is about to end."""
    async with asyncio.timeout(seconds):
        return await task
