"""The code of the venue that a configuration names: the one place where it is chosen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.venue import LIGHTER
from stall_then_strike.infra.bitflyer.credentials import load_credentials
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.market_source import InstrumentFeed
from stall_then_strike.lighter.market_feed import LighterMarketFeed
from stall_then_strike.lighter.markets import configured_market
from stall_then_strike.lighter.signing.account_keys import load_lighter_account
from stall_then_strike.venues.bitflyer_connection import BitflyerConnection, bitflyer_cancel_all
from stall_then_strike.venues.connection import Account, CancelsAll, Connection
from stall_then_strike.venues.lighter_connection import LighterConnection
from stall_then_strike.venues.lighter_hand import lighter_cancel_all

if TYPE_CHECKING:
    from stall_then_strike.sim.faults.kinds import FaultPlan

_A = TypeVar("_A", bound=Account)


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue(Generic[_A]):
    """What the commands that trade do with a venue. Nothing is sent before a connection is opened."""

    account: Callable[[AppConfig], _A]
    """The account to trade with, from the environment or a file. Raises ConfigError."""
    connect: Callable[[AppConfig, ScaledClock, _A | None], Connection]
    """A connection, not open yet; without an account for the public side alone."""
    embed: Callable[[AsyncExitStack, AppConfig, ScaledClock, FaultPlan | None], Awaitable[tuple[AppConfig, _A]]]
    """Start the venue on loopback, with an account. Returns the configuration with its addresses."""
    simulated: Callable[[AppConfig, int], Iterator[tuple[int, str]]]
    """The frames of the embedded exchange's markets in virtual time, from a moment on, with their stamps."""
    recorded: Callable[[AppConfig], Sequence[InstrumentFeed]]
    """Decoders of recorded frames, one for each instrument."""
    cancel_all: Callable[[AppConfig, _A], AbstractAsyncContextManager[CancelsAll]]
    """The watchdog's hand. Raises ConfigError for an address that keys are not used at."""


async def _embed_bitflyer(
    stack: AsyncExitStack, cfg: AppConfig, clock: ScaledClock, faults: FaultPlan | None
) -> tuple[AppConfig, Account]:
    from stall_then_strike.venues.embedded_bitflyer import open_embedded  # a run at the venue does without it

    return await open_embedded(stack, cfg, clock, faults)


def _bitflyer_frames(cfg: AppConfig, start_ns: int) -> Iterator[tuple[int, str]]:
    from stall_then_strike.venues.embedded_bitflyer import bitflyer_frames

    return bitflyer_frames(cfg, start_ns)


async def _embed_lighter(
    stack: AsyncExitStack, cfg: AppConfig, clock: ScaledClock, faults: FaultPlan | None
) -> tuple[AppConfig, Account]:
    from stall_then_strike.venues.embedded_lighter import open_embedded_lighter

    return await open_embedded_lighter(stack, cfg, clock, faults)


def _lighter_frames(cfg: AppConfig, start_ns: int) -> Iterator[tuple[int, str]]:
    from stall_then_strike.venues.embedded_lighter import lighter_frames

    return lighter_frames(cfg, start_ns)


_VENUES: Final[Mapping[str, Venue[Any]]] = {
    "bitflyer": Venue(
        account=lambda cfg: load_credentials(account=cfg.account.name),
        connect=BitflyerConnection,
        embed=_embed_bitflyer,
        simulated=_bitflyer_frames,
        recorded=lambda cfg: [MarketFeed(each, is_recorded=True) for each in cfg.by_instrument()],
        cancel_all=bitflyer_cancel_all,
    ),
    LIGHTER: Venue(
        account=lambda cfg: load_lighter_account(cfg.exchange.base_url, account=cfg.account.name),
        connect=LighterConnection,
        embed=_embed_lighter,
        simulated=_lighter_frames,
        recorded=lambda cfg: [LighterMarketFeed(configured_market(each.exchange)) for each in cfg.by_instrument()],
        cancel_all=lighter_cancel_all,
    ),
}


def venue_of(cfg: AppConfig) -> Venue[Any]:
    """The venue of ``exchange.name``. Its account is given back to it and looked into by nobody else."""
    return _VENUES[cfg.exchange.name]
