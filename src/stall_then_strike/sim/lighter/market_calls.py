"""The public calls about markets: terms, books, trades, candles, funding. Pure.

Lists that would be empty are ``null`` where the venue's are (trades, candles).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stall_then_strike.sim.lighter.clearing.candles import MOST_CANDLES, RESOLUTIONS_NS
from stall_then_strike.sim.lighter.clearing.contracts import LighterMarket, decimal_text
from stall_then_strike.sim.lighter.forms import (
    Json,
    candle_form,
    details_form,
    order_book_form,
    simple_order_form,
)
from stall_then_strike.sim.lighter.lighter_venue import OK, LighterVenue
from stall_then_strike.sim.lighter.query import ALL, MOST_ROWS, Query, invalid_param
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, Side

Call = Callable[[Query], Json]
_MOST_ORDERS: Final = 250
_DAY_HOURS: Final = 24


class MarketCalls:
    """Answers from the venue's markets."""

    def __init__(self, venue: LighterVenue) -> None:
        """``venue`` is at the current time whenever a call is made."""
        self._venue = venue

    def calls(self) -> dict[str, Call]:
        """The calls by name."""
        return {
            "orderBooks": self._order_books,
            "orderBookDetails": self._order_book_details,
            "orderBookOrders": self._order_book_orders,
            "recentTrades": self._recent_trades,
            "candles": self._candles,
            "fundings": self._fundings,
            "funding-rates": self._funding_rates,
            "exchangeStats": self._exchange_stats,
            "currentHeight": self._current_height,
        }

    def _terms(self, query: Query) -> LighterMarket:
        """The market that a call names."""
        terms = self._venue.accounts.markets.get(query.whole("market_id"))
        if terms is None:
            raise invalid_param()
        return terms

    def _chosen(self, query: Query) -> list[LighterMarket]:
        """The markets that a list is about."""
        if query.one_of("filter", ("all", "perp", "spot"), "all") == "spot":
            return []
        markets = self._venue.accounts.markets
        return [self._terms(query)] if query.whole("market_id", ALL) != ALL else [markets[n] for n in sorted(markets)]

    def _order_books(self, query: Query) -> Json:
        plan = self._venue.settings.plan
        return {"code": OK, "order_books": [order_book_form(terms, plan) for terms in self._chosen(query)]}

    def _order_book_details(self, query: Query) -> Json:
        plan, day_of = self._venue.settings.plan, self._venue.floor.day_of
        details = [details_form(terms, plan, day_of(terms.market_id)) for terms in self._chosen(query)]
        return {"code": OK, "order_book_details": details, "spot_order_book_details": []}

    def _order_book_orders(self, query: Query) -> Json:
        terms, limit = self._terms(query), query.whole("limit", most=_MOST_ORDERS)
        pit = self._venue.pits[terms.market_id]
        asks, bids = (
            [simple_order_form(order, terms) for order in pit.book(side, limit)] for side in (Side.SELL, Side.BUY)
        )
        return {"code": OK, "total_asks": len(asks), "asks": asks, "total_bids": len(bids), "bids": bids}

    def _recent_trades(self, query: Query) -> Json:
        terms, limit = self._terms(query), query.whole("limit", most=MOST_ROWS)
        newest = list(self._venue.trades[terms.market_id])[-limit:]
        return {"code": OK, "trades": self._venue.trade_forms(reversed(newest)) or None}

    def _candles(self, query: Query) -> Json:
        terms, resolution = self._terms(query), query.one_of("resolution", tuple(RESOLUTIONS_NS))
        (start_ns, end_ns), count = query.span_ns(), query.whole("count_back", most=MOST_CANDLES)
        is_at_end = query.text("set_timestamp_to_end", "false").lower() == "true"
        shift_ms = RESOLUTIONS_NS[resolution] // NS_PER_MS - 1 if is_at_end else 0
        found = [
            candle_form(candle, terms, shift_ms)
            for candle in self._venue.floor.charts[terms.market_id].candles(resolution)
            if start_ns <= candle.start_ns <= end_ns
        ]
        return {"code": OK, "r": resolution, "c": found[-count:] or None}

    def _fundings(self, query: Query) -> Json:
        terms, resolution = self._terms(query), query.one_of("resolution", ("1h", "1d"))
        (start_ns, end_ns), count = query.span_ns(), query.whole("count_back", most=MOST_ROWS)
        size_one, rows = 10**terms.size_decimals, []
        hours = [r for r in self._venue.floor.funding[terms.market_id].rounds if start_ns <= r.time_ns <= end_ns]
        step = 1 if resolution == "1h" else _DAY_HOURS
        for first in range(0, len(hours), step):
            part = hours[first : first + step]
            rate, paid = sum(r.rate for r in part), sum(r.rate * r.price * size_one for r in part)
            rows.append(
                {
                    "timestamp": part[-1].time_ns // NS_PER_S,
                    "value": decimal_text(abs(paid) // 10_000, 8),
                    "rate": decimal_text(abs(rate), 4),
                    "direction": "long" if rate >= 0 else "short",
                }
            )
        return {"code": OK, "resolution": resolution, "fundings": rows[-count:]}

    def _funding_rates(self, _query: Query) -> Json:
        markets, funding = self._venue.accounts.markets, self._venue.floor.funding
        rows = [
            {"market_id": n, "exchange": "lighter", "symbol": markets[n].symbol, "rate": rates.estimate() / 1_000_000}
            for n, rates in sorted(funding.items())
        ]
        return {"code": OK, "funding_rates": rows}

    def _exchange_stats(self, _query: Query) -> Json:
        names = (
            "last_trade_price",
            "daily_trades_count",
            "daily_base_token_volume",
            "daily_quote_token_volume",
            "daily_price_change",
        )
        days = {terms.symbol: self._venue.floor.day_of(n) for n, terms in sorted(self._venue.accounts.markets.items())}
        rows = [{"symbol": symbol, **{name: day[name] for name in names}} for symbol, day in days.items()]
        return {
            "code": OK,
            "total": len(rows),
            "order_book_stats": rows,
            "daily_usd_volume": sum(float(row["daily_quote_token_volume"]) for row in rows),
            "daily_trades_count": sum(int(row["daily_trades_count"]) for row in rows),
        }

    def _current_height(self, _query: Query) -> Json:
        return {"code": OK, "height": self._venue.floor.block_of(self._venue.now_ns)}
