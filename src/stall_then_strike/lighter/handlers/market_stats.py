"""MarketStatsHandler: ``market_stats`` of one market: prices and funding.

It reads the market's own channel and that of all markets, of which it takes its own part.

Venue facts (captured messages of 2025-10 and 2025-12): rates are percent an hour; ``current_funding_rate`` estimates
the next payment, ``funding_rate`` is the last one, made at ``funding_timestamp`` (milliseconds). An update of all
markets holds the changed ones only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from stall_then_strike.lighter.handlers.base import Handler, Message, Unreadable
from stall_then_strike.lighter.markets import Market
from stall_then_strike.lighter.messages import MarketStats


class MarketStatsHandler(Handler[MarketStats]):
    """Keeps the newest figures of a market."""

    def __init__(self, market: Market) -> None:
        """Nothing is known yet."""
        kind = "spot_market_stats" if market.market_type == "SPOT" else "market_stats"
        super().__init__(kind, market.market_index)
        self.newest: MarketStats | None = None
        """The newest figures; None before the first message."""
        self._index, self._of_all = market.market_index, f"{kind}:all"

    def can_handle(self, message: Mapping[str, Any]) -> bool:
        """Whether it is a message of this market or of all."""
        return super().can_handle(message) or (
            message.get("type") in (self._first, self._later) and message.get("channel") == self._of_all
        )

    def handle(self, message: Message, recv_ns: int) -> MarketStats | None:
        """The figures; None if the message of all markets has none of this one. Raises Unreadable."""
        del recv_ns
        figures = message.get(self.kind)
        if message.get("channel") == self._of_all and isinstance(figures, dict):
            figures = figures.get(str(self._index))
            if figures is None:
                return None
        try:
            found = MarketStats.model_validate(figures)
        except ValidationError as error:
            raise Unreadable(f"{error.error_count()} fields cannot be read") from None
        if found.market_id != self._index:
            raise Unreadable("of another market")
        self.newest = found
        return found
