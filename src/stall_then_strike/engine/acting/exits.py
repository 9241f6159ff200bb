"""Cancels that are repeated until they succeed, and closings that end flat.

A cancel stays wanted until its order has ended: it waits for the order's id, for budget, and for the pause after a
refusal. A closing goes through the states of `closing.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, assert_never

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.acting.closing import CloseOrder, Closing, Done, Wait
from stall_then_strike.engine.acting.dispatch import Dispatch
from stall_then_strike.engine.inventory import InventoryManager
from stall_then_strike.engine.orders import Order, Orders, OrderState
from stall_then_strike.engine.recording import Recorder
from stall_then_strike.engine.venue.budget import Budget
from stall_then_strike.engine.venue.rules import VenueRules
from stall_then_strike.types.dto import NS_PER_S, Action, OrderId, Reason
from stall_then_strike.types.instrument import Instrument, Lots, Ticks

# Enum members resolved once: in Python 3.11, reading one off its class costs as much as a call.
_PENDING_CANCEL: Final = OrderState.PENDING_CANCEL

RETRY_NS: Final = 1 * NS_PER_S
"""Pause before retrying a failed cancel, or a request for which there was no budget."""
GHOST_RETRY_NS: Final = 10 * NS_PER_S
"""The same for an order missing from two lists: it has probably ended, and every cancel costs a call."""


class Exits:
    """Owner of the current closing and of the wanted cancels."""

    def __init__(
        self,
        cfg: AppConfig,
        instrument: Instrument,
        venue: VenueRules,
        budget: Budget,
        dispatch: Dispatch,
        orders: Orders,
        inventory: InventoryManager,
        record: Recorder,
        is_ghost: Callable[[Order, int], bool] | None,
    ) -> None:
        """``is_ghost`` tells which live orders a close need not wait for; None if no order can be in doubt."""
        self.retune(cfg)
        self._waits_for_quotes = venue.refuses_self_trade
        self._min_size = Lots(1) if venue.closes_dust else instrument.min_size
        self._orders, self._inventory, self._budget = orders, inventory, budget
        self._record, self._dispatch, self._is_ghost = record, dispatch, is_ghost
        self.closing: Closing | None = None

    def retune(self, cfg: AppConfig) -> None:
        """Close by these settings from the next closing on."""
        self._strategy = cfg.strategy
        self._blind_ns = int(cfg.risk.flatten_blind_sec * NS_PER_S)

    # --- cancels

    def cancel_quotes(self, reason: Reason, now_ns: int, these: Sequence[Order] | None = None) -> tuple[Action, ...]:
        """Mark these live quotes, or all, for cancellation; send the cancels of those with an order id."""
        for order in self._orders.quotes() if these is None else these:
            if order.cancel_reason is None:
                self._orders.want_cancel(order, reason)
        return self._send_cancels(now_ns)

    def retry_cancels(self, now_ns: int) -> None:
        """Send wanted cancels that are not in flight: they had no order id or no budget, or they failed."""
        for order in self._orders.quotes():
            if order.cancel_reason is not None and order.state is not _PENDING_CANCEL:
                if actions := self._send_cancels(now_ns):
                    self._dispatch.decision("cancel", order.cancel_reason, actions)
                return

    def _send_cancels(self, now_ns: int) -> tuple[Action, ...]:
        due = [(order, name) for order, name, at_ns in self._unsent_cancels() if now_ns >= at_ns]
        if not (due and (count := self._budget.cancellable(now_ns, len(due)))):
            return ()
        reason = due[0][0].cancel_reason
        if reason is None:
            raise AssertionError("only orders with a cancel reason are due")
        return (self._dispatch.cancel(due[:count], reason),)

    def _unsent_cancels(self) -> Sequence[tuple[Order, OrderId, int]]:
        """Quotes with an order id whose cancel is wanted but not in flight, and when it may be sent."""
        found: list[tuple[Order, OrderId, int]] = []
        for order in self._orders.quotes():
            if order.cancel_reason is None or order.order_id is None:
                continue
            if order.state is not _PENDING_CANCEL:
                pause_ns = GHOST_RETRY_NS if order.absences > 1 else RETRY_NS
                at_ns = 0 if order.cancel_sent_ns is None else order.cancel_sent_ns + pause_ns
                found.append((order, order.order_id, at_ns))
        return found

    # --- closing

    def begin(self, reason: Reason, *, flatten: bool) -> None:
        """Begin a closing, replacing the current one."""
        self.closing = Closing(reason, self._strategy, self._min_size, flatten=flatten)

    def go_on(
        self,
        closing: Closing,
        now_ns: int,
        best: tuple[Ticks, Ticks] | None,
        *,
        is_running: bool,
        is_sure: bool = True,
    ) -> None:
        """Take the closing one step further. ``best`` is None if the book cannot be trusted.

        ``is_sure`` is as in `Closing.next`.
        """
        waited_ns = closing.no_market_ns
        ghost = self._is_ghost
        is_quote = [order.is_quote for order in self._orders.live() if ghost is None or not ghost(order, now_ns)]
        step = closing.next(
            now_ns,
            position=self._inventory.position,
            quotes_live=self._waits_for_quotes and True in is_quote,
            order_live=False in is_quote,
            best=best,
            is_sure=is_sure,
            # Paper trading cannot fill orders without a book.
            blind=ghost is not None
            and closing.flatten
            and is_running
            and waited_ns is not None
            and now_ns - waited_ns >= self._blind_ns,
        )
        if not is_running:
            closing.no_market_ns = None  # count the wait for a book from when the venue runs; a book takes some seconds
        if isinstance(step, Done):
            self.closing = None
            if step is Done.DUST:
                self._dispatch.decision("hold", Reason.DUST)
            self._record.note("INFO", f"closed ({closing.reason.label}): {step.value}")
        elif isinstance(step, CloseOrder):
            if self._budget.may_send(now_ns, step.size):
                self._dispatch.close(step, closing.reason)
            else:
                closing.retry_at_ns = now_ns + RETRY_NS
        elif not isinstance(step, Wait):
            assert_never(step)

    # --- time

    def stamps(self, now_ns: int) -> Sequence[int]:
        """When to run a step even without an event."""
        # A cancel that is due but was not sent had no budget: no event may follow, so a step must be scheduled.
        stamps = [at_ns if at_ns > now_ns else now_ns + RETRY_NS for _, _, at_ns in self._unsent_cancels()]
        if self.closing is not None:
            stamps.append(self.closing.retry_at_ns)
            if self.closing.no_market_ns is not None:
                stamps.append(self.closing.no_market_ns + self._blind_ns)
        return stamps
