"""A strategy that places and cancels orders, as the engine sees strategies: what stands on its sheet is its wish.

What a strategy may count on is told in `context`.
"""

from __future__ import annotations

from collections import deque

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.context import Cloid, Context, OrderFill, Role, Sheet, Strategy
from stall_then_strike.engine.strategy import QUOTE_TAGS, QUOTE_WORDS, Holding, LiveQuote, Market, Quote, Wish
from stall_then_strike.engine.venue.budget import NEVER_NS
from stall_then_strike.types.dto import FillEvent, Reason
from stall_then_strike.types.instrument import Instrument, Lots


class Sandbox:
    """A `Strategy` as the engine sees strategies."""

    tag, word = QUOTE_TAGS[1], QUOTE_WORDS[1]
    close_word = "the strategy's close"
    together = False
    sees_sizes = True
    batch = 1

    def __init__(self, strategy: Strategy, cfg: AppConfig, instrument: Instrument) -> None:
        """Raises whatever the strategy's check raises."""
        self.strategy = strategy
        self.size = instrument.min_size
        self._sheet = Sheet()
        self.context = Context(instrument, instrument.to_lots(cfg.strategy.max_inventory_btc), self._sheet)
        self._unit = instrument
        self._fills: deque[tuple[int, FillEvent]] = deque()
        self._has_started = False
        self._asked: tuple[Quote, ...] = ()
        """The quotes of the last wish."""
        self._shown: tuple[tuple[LiveQuote, ...], int] = (), 0
        """The live quotes and the last key that were taken in last."""
        strategy.check(self.context.market)

    def on_fill(self, key: int, fill: FillEvent) -> None:
        """Keep a fill until the strategy may act on it."""
        self._fills.append((key, fill))

    def on_ended(self, key: int, executed: Lots) -> None:
        """Nothing to do: the holding shows which orders are live."""

    def on_event(self, market: Market, holding: Holding, gate: Reason | None, now_ns: int) -> Wish:
        """Let the strategy act, and say what it wants."""
        context, sheet = self.context, self._sheet
        context.now_ns, context.board, context.holding = now_ns, market, holding
        sheet.wake_ns, sheet.is_closing = NEVER_NS, False
        self._take_in(holding)
        if gate is not None:
            self._drop_queue()
            return Wish((), gate)
        if not self._has_started and any(not quote.key for quote in holding.quotes):
            return Wish((), Reason.ORPHAN)
        try:
            self._act()
        except Exception:
            self._drop_queue()
            raise
        if sheet.is_closing and holding.may_close:
            return Wish((), Reason.STRATEGY, flatten=True)
        return self._wish()

    def _act(self) -> None:
        if not self._has_started:
            self._has_started = True
            self.strategy.on_start(self.context)
        while self._fills:
            self.strategy.on_order_filled(self.context, self._told(*self._fills.popleft()))
        self.strategy.on_tick(self.context)

    def _drop_queue(self) -> None:
        """Forget what was not sent. What is live, the engine takes back."""
        own, last = self._sheet.own, self.context.holding.last_key
        for cloid in [cloid for cloid in own if cloid > last]:
            del own[cloid]
        self._asked = ()

    def _take_in(self, holding: Holding) -> None:
        """Drop what has ended, and see what is being cancelled."""
        shown = holding.quotes, holding.last_key
        if shown[0] is self._shown[0] and shown[1] == self._shown[1]:
            return  # the engine shows the same object as long as no order has changed
        self._shown = shown
        own, ending = self._sheet.own, self._sheet.ending
        live = {quote.key: quote.is_ending for quote in holding.quotes}
        for cloid in [cloid for cloid in own if cloid <= holding.last_key and cloid not in live]:
            del own[cloid]
            ending.discard(cloid)
        ending.update(cloid for cloid in own if live.get(cloid, False))

    def _wish(self) -> Wish:
        """All that is queued or live and not being cancelled."""
        sheet = self._sheet
        quotes = tuple(sheet.own.values())
        if sheet.ending:
            quotes = tuple([quote for quote in quotes if quote.key not in sheet.ending])
        reason = Reason.STRATEGY if quotes != self._asked or not quotes else Reason.QUOTING
        self._asked = self._asked if quotes == self._asked else quotes  # what is the same object is not compared again
        return Wish(self._asked, reason, until_ns=sheet.wake_ns)

    def _told(self, key: int, fill: FillEvent) -> OrderFill:
        unit = self._unit
        role = None if fill.is_maker is None else Role.MAKER if fill.is_maker else Role.TAKER
        return OrderFill(
            cloid=Cloid(key),
            side=fill.side,
            price=unit.price(fill.price),
            size=unit.size(fill.size),
            fee=unit.amount(fill.fee),
            role=role,
            ts_ns=fill.ts_ns,
        )
