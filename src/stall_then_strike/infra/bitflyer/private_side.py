"""The private channel of a session: whether it is live on the current connection, and its events.

It is live from the venue's acknowledgement of `child_order_events`, which also proves the login, until the connection
ends. This module does not know the connection; the session reports its changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from loguru import logger

from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.bitflyer.login import LoginEar, is_venues_fault
from stall_then_strike.infra.bitflyer.private_feed import AccountEvent, PrivateFeed
from stall_then_strike.types.dto import PrivateChannel
from stall_then_strike.types.instrument import Instrument

PrivateEvent = AccountEvent | PrivateChannel

_log = logger.bind(channel="ws")


class PrivateSide:
    """The part of a session that exists only with credentials."""

    def __init__(
        self, owner: Credentials, instruments: Sequence[Instrument], sinks: Sequence[Callable[[PrivateEvent], None]]
    ) -> None:
        """Listen to nothing before ``open``. Each instrument's sink gets its events and those of the channel.

        ``sinks`` is the session's own list, which may change.
        """
        self._owner = owner
        self._sinks = sinks
        self._ear = LoginEar()
        self._is_refusal_told = False
        codes = {instrument.product_code for instrument in instruments}
        self._feeds = [PrivateFeed(unit, codes - {unit.product_code}) for unit in instruments]
        self.feed = self._feeds[0]
        self.is_live = False

    def open(self) -> None:
        """Start listening to pybotters' log for refused logins."""
        self._ear.open()

    def close(self) -> None:
        """Stop listening."""
        self._ear.close()

    def on_handshake(self) -> None:
        """A new connection, with a new login, is about to be made."""
        self._ear.forget()
        self._is_refusal_told = False

    def on_granted(self, now_ns: int) -> None:
        """The venue acknowledged the channel."""
        self.is_live = True
        _log.info("the private channel is live")
        self._tell(PrivateChannel(ts_ns=now_ns, is_live=True))

    def on_message(self, content: Any, recv_ns: int) -> None:
        """Handle one message of the channel."""
        for feed, sink in zip(self._feeds, self._sinks, strict=True):
            for event in feed.decode(content, recv_ns):
                sink(event)

    def on_dropped(self, now_ns: int) -> None:
        """The connection is lost or was given up."""
        if self.is_live:
            self.is_live = False
            self._tell(PrivateChannel(ts_ns=now_ns, is_live=False))

    def _tell(self, event: PrivateChannel) -> None:
        for sink in self._sinks:
            sink(event)

    def refused(self, url: str, words: str) -> str:
        """The text for the operator that the venue at ``url`` refused the channel, without secrets."""
        reason = f"the login: {self._ear.refusal}" if self._ear.refusal else f"the private channel: {words}"
        return self._owner.redact(f"{url} refuses {reason}")

    def may_pass(self, words: str) -> bool:
        """Whether a refusal is about the venue's state, so that the same key may be accepted a moment later."""
        return is_venues_fault(self._ear.refusal or words)

    def tell_refused(self, text: str) -> None:
        """Log, once per connection, that it continues without the channel."""
        if not self._is_refusal_told:
            self._is_refusal_told = True
            _log.warning("{}; the connection is kept for now, for its public data", text)
