"""LighterInstrumentLoader: the venue's markets as instruments, asked for over REST and cached on disk with their age.

The list is public: neither an account nor the SDK is needed. It changes when the venue opens or closes a market. So a
list of the last hour is not asked for again, and if the venue does not answer, an old one serves.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from stall_then_strike.infra.clock import Clock, SystemClock
from stall_then_strike.infra.line.own_machine import is_own_machine
from stall_then_strike.lighter.client import ask_order_books
from stall_then_strike.lighter.dealer_config import checked_address
from stall_then_strike.lighter.markets import Market, Markets
from stall_then_strike.types.errors import NoAnswer, VenueError
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.types.names import NS_PER_S

MAINNET: Final = "https://mainnet.zklighter.elliot.ai"
FRESH_NS: Final = 3_600 * NS_PER_S
"""A cached list younger than this is not asked for again."""
_HOUR_NS: Final = 3_600 * NS_PER_S
_LOG: Final = logging.getLogger("LighterInstrumentLoader")
Ask = Callable[[], Awaitable[Mapping[str, Any]]]
"""A call of ``orderBooks``. Raises VenueError."""


def cache_file(base_url: str) -> Path | None:
    """Where the list of markets of a venue is kept; None for this machine, whose venues come and go."""
    parts = urlsplit(base_url)
    if is_own_machine(parts.hostname or ""):
        return None
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "stall-then-strike" / f"lighter-{parts.hostname}-{parts.port or parts.scheme}.json"


class LighterInstrumentLoader:
    """The markets of one venue. Before the first ``load`` or ``refresh`` they are a built-in table of large ones."""

    def __init__(
        self,
        base_url: str = MAINNET,
        *,
        cache: Path | None = None,
        clock: Clock | None = None,
        ask: Ask | None = None,
        on_trouble: Callable[[str], object] = _LOG.warning,
        markets: Markets | None = None,
    ) -> None:
        """``cache`` is the file to use, by default none (`cache_file` names the usual one).

        ``ask`` replaces the loader's own call, ``on_trouble`` receives lines about what did not work. Raises
        ConfigError for an address that is none.
        """
        self.base_url: Final = checked_address(base_url)
        self.cache: Final = cache
        self.markets = Markets() if markets is None else markets
        self._clock: Final = clock or SystemClock()
        self._ask: Final = ask or self._ask_venue
        self._on_trouble: Final = on_trouble

    # --- what is known ------------------------------------------------------------------------------------------------

    @property
    def ticker_to_market_id(self) -> dict[str, int]:
        """``ETH-USDC`` (perpetual) or ``ETH/USDC`` (spot) to the market's index."""
        return {market.ticker: market.market_index for market in self.markets.all()}

    @property
    def market_id_to_ticker(self) -> dict[int, str]:
        """The reverse."""
        return {market.market_index: market.ticker for market in self.markets.all()}

    def market(self, name: str | int) -> Market:
        """The market of that index, or of that name in any of its forms. Raises ConfigError."""
        return self.markets.indexed(name) if isinstance(name, int) else self.markets.named(name)

    def instrument(self, name: str | int) -> Instrument:
        """Units, minimums and assets of that market. Raises ConfigError."""
        return self.market(name).instrument

    def instruments(self) -> dict[str, Instrument]:
        """Those of all markets by ticker, closed ones included."""
        return {market.ticker: market.instrument for market in self.markets.all()}

    def age_ns(self) -> int:
        """Nanoseconds since the venue gave the list."""
        return self.markets.age_ns(self._clock.now_ns())

    # --- where it comes from ------------------------------------------------------------------------------------------

    async def load(self, is_enough: Callable[[Markets], bool] = bool) -> Markets:
        """Take the cached list if it is fresh and ``is_enough``, or else ask.

        If the venue does not answer, go on with what there is, and tell of it.
        """
        cached = Markets.load(self.cache) if self.cache is not None else None
        if cached is not None:
            self.markets = cached
            if self.age_ns() < FRESH_NS and is_enough(cached):
                return cached
        try:
            return await self.refresh()
        except VenueError as error:
            age_h = self.age_ns() // _HOUR_NS
            self._on_trouble(f"{error}; going on with the {self.markets.source}, {age_h} h old")
        return self.markets

    async def refresh(self) -> Markets:
        """Ask the venue, and cache the answer. Raises VenueError; what is known and cached then stays."""
        body = await self._ask()
        found = Markets.from_wire(body, as_of_ns=self._clock.now_ns(), source=self.base_url)
        if not len(found):
            raise NoAnswer("orderBooks", "the answer has no market that can be read")
        self.markets = found
        if self.cache is not None:
            try:
                found.save(self.cache)
            except OSError as error:
                self._on_trouble(f"the list of markets is not cached in {self.cache}: {error.strerror or error}")
        return found

    async def _ask_venue(self) -> Mapping[str, Any]:
        return await ask_order_books(self.base_url, self._clock)
