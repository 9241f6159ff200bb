"""Checks what Lighter sends on the socket: forms, parsers, nonces, books, silences, delays.

It listens to a session's raw frames and keeps its own decoder of the market, so that it sees each frame as the trader's
decoder sees it and can tell which frame it refused. What is judged over time is judged by `finish`.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.assumed.frame_check import FrameCheck
from stall_then_strike.app.contact.assumed.heard import Heard
from stall_then_strike.app.contact.lighter_probe.lighter_documented import FRAMES, GREETING, REFUSED
from stall_then_strike.app.contact.lighter_probe.lighter_private_check import LighterPrivateCheck
from stall_then_strike.lighter.account import KINDS
from stall_then_strike.lighter.market_feed import LighterMarketFeed
from stall_then_strike.lighter.markets import Market
from stall_then_strike.lighter.messages import TradesFrame, UnreadableFrame, read_frame
from stall_then_strike.types.dto import NS_PER_MS

GAP_S: Final = {"market_stats": 10.0, "order_book": 30.0}
"""Silence after which a channel counts as dead: statistics came some times a second in captures."""
_CONTROL: Final = frozenset({"ping", "pong", "connected", "unsubscribed", "shutdown"})


class LighterStreamCheck(FrameCheck):
    """Notes deviations of one market's channels, and of an account's."""

    def __init__(
        self, market: Market, deviations: Deviations, account_index: int | None, others: Iterable[Market] = ()
    ) -> None:
        """Without an account its channels are not expected. ``others`` have a check of their own."""
        super().__init__(deviations)
        self._feed = LighterMarketFeed(market, is_quiet=True)
        self._asked = {channel.replace("/", ":") for channel in self._feed.channels}
        feeds = (LighterMarketFeed(other, is_quiet=True) for other in others)
        self._others = {channel.replace("/", ":") for feed in feeds for channel in feed.channels}
        self._private = None if account_index is None else LighterPrivateCheck(account_index, deviations)
        if account_index is not None:
            self._asked |= {f"{kind}:{account_index}" for kind in KINDS}
        self._nonce: int | None = None
        self._offset = 0
        self._is_greeted = False

    @property
    def events(self) -> int:
        """What the account's channels told after their first messages."""
        return 0 if self._private is None else self._private.count

    # --- messages

    def on_connected(self, now_ns: int) -> None:
        """A connection was made."""
        super().on_connected(now_ns)
        self._is_greeted = False
        self._feed.on_connect()
        self._nonce, self._offset = None, 0

    def _on_message(self, message: Any, recv_ns: int) -> None:
        if not isinstance(message, dict):
            self._add("a message is no object", "an object", type(message).__name__, message, is_grave=True)
        elif isinstance(message.get("channel"), str) and message.get("type") != "unsubscribed":
            self._on_channel(message["channel"], message, recv_ns)
        else:
            self._on_other(message)

    def _on_other(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if not self._is_greeted:
            self._is_greeted = True
            self._found.look_at(GREETING, message, "greeting")
        elif "error" in message:
            self._found.look_at(REFUSED, message, "refusal")
            error = message["error"]
            code = error.get("code") if isinstance(error, dict) else None
            self._add("an error on the socket", "none", f"code {code}", message, is_grave=True)
        elif kind not in _CONTROL:
            seen = kind if isinstance(kind, str) else "none"
            self._add("a message of an unknown type", "a channel's, or a ping", seen, message, is_grave=True)

    def _on_channel(self, channel: str, message: dict[str, Any], recv_ns: int) -> None:
        if channel in self._others:
            return
        if channel not in self._asked:
            seen = channel.partition(":")[0]
            name = "a message of a channel that was not asked for"
            self._add(name, "only what was subscribed", seen, message)
            return
        kind = channel.partition(":")[0]
        heard = self._heard.setdefault(kind, Heard())
        heard.take(recv_ns)
        if type(stamp := message.get("timestamp")) is int:
            heard.delays_ns.append(recv_ns - stamp * NS_PER_MS)
        self._check_type(kind, message)
        self._found.look_at(FRAMES[kind], message, kind)
        self._parse(kind, message, recv_ns)

    def _check_type(self, kind: str, message: dict[str, Any]) -> None:
        expected = (f"subscribed/{kind}", f"update/{kind}")
        if message.get("type") not in expected:
            seen = str(message.get("type"))
            self._add(f"the type of {kind}", " or ".join(expected), seen, message, is_grave=True)

    def _parse(self, kind: str, message: dict[str, Any], recv_ns: int) -> None:
        """Let the program's parsers read the message."""
        try:
            frame = read_frame(message)
        except UnreadableFrame as error:
            name = f"the parser refuses: {kind}"
            self._add(name, "it reads every message", str(error), message, is_grave=True)
            return
        if kind == "order_book":
            self._check_book(message)
        elif isinstance(frame, TradesFrame):
            self._check_trades(frame, message)
        elif self._private is not None and kind != "market_stats":
            self._private.take(frame, message)
            return
        self._feed.on_message(message, recv_ns)
        self._note_refused(self._feed.statistics().refused, message)
        if kind == "market_stats":
            self._check_mid(message)

    def _check_book(self, message: dict[str, Any]) -> None:
        """Whether the message continues the one before it."""
        book = message["order_book"]
        begin, nonce, offset = book.get("begin_nonce"), book.get("nonce"), book.get("offset")
        is_first = message["type"] == "subscribed/order_book"
        if is_first:
            self._check_first(book, message)
        elif self._nonce is not None and begin is not None and begin != self._nonce:
            expected = "begin_nonce is the nonce of the message before"
            self._add("the book's nonces do not join", expected, "another", message, is_grave=True)
        if type(offset) is int:
            if not is_first and offset <= self._offset:
                self._add("the book's offset does not rise", "a higher one", "not higher", message)
            self._offset = offset
        self._nonce = nonce if type(nonce) is int else None

    def _check_first(self, book: dict[str, Any], message: Any) -> None:
        if book.get("begin_nonce") != 0:
            self._add("begin_nonce of a snapshot", "0", str(book.get("begin_nonce")), message)
        for side, sign in (("asks", 1), ("bids", -1)):
            levels = [(sign * _number(level["price"]), _number(level["size"])) for level in book.get(side) or ()]
            prices = [price for price, _ in levels]
            if prices != sorted(prices):
                self._add("a snapshot is not best first", "best first", f"not so: {side}", message)
            if any(size == 0 for _, size in levels):
                self._add("a snapshot has a level of size 0", "none", f"one of the {side}", message)

    def _check_trades(self, frame: TradesFrame, message: Any) -> None:
        for trade in frame.all():
            if trade.usd_amount != trade.size * trade.price:
                self._add("usd_amount is not size x price", "the product", "another amount", message)
            if trade.market_id != self._feed.market.market_index:
                self._add("a trade of another market", "only this one's", "another's", message)

    def _check_mid(self, message: Any) -> None:
        board, stats = self._feed.board, self._feed.stats
        if stats is None or stats.mid_price is None or not board.best_bid or not board.best_ask:
            return
        self._checked += 1
        mid = stats.mid_price * self._feed.market.instrument.ticks_per_one
        if board.best_bid <= mid <= board.best_ask:
            self._agreed += 1
        elif self._mid is None:
            self._mid = message

    # --- over time

    def finish(self, now_ns: int, skew_ns: int) -> None:
        """Judge silences, mids and delays. ``skew_ns`` is by how much the venue's clock is ahead of ours."""
        self._judge_mid("it is between the best prices", "outside")
        for channel in sorted(self._asked):
            self._judge(channel.partition(":")[0], now_ns, skew_ns)

    def _judge(self, kind: str, now_ns: int, skew_ns: int) -> None:
        heard = self._heard.get(kind)
        if heard is None:
            if self.connects:
                self._add(f"{kind} is silent", "a first message at least", "not one", is_grave=True)
            return
        if kind in GAP_S:
            heard.judge_silence(kind, GAP_S[kind], self._found, now_ns, is_connected=self.is_connected)
        heard.judge_delay(kind, skew_ns, self._found)


def _number(text: object) -> Decimal:
    try:
        return Decimal(str(text))
    except InvalidOperation:
        return Decimal(-1)
