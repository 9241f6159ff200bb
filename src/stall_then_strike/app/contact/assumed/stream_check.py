"""Checks what the venue sends on the socket: forms, parsers, mid prices, periods, silences, delays.

It listens to a session's raw frames (`FrameTap`) and keeps its own decoders, so that it sees each frame as the trader's
decoders see it and can tell which frame they refused. What is judged over time is judged by :meth:`StreamCheck.finish`.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any, Final

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.assumed.documented import (
    ACKNOWLEDGED,
    BOARD,
    EXECUTIONS,
    NOTIFICATION,
    REFUSED,
    SNAPSHOT_LEVELS,
    SNAPSHOT_S,
    TICKER,
)
from stall_then_strike.app.contact.assumed.event_check import EventCheck
from stall_then_strike.app.contact.assumed.frame_check import FrameCheck
from stall_then_strike.app.contact.assumed.heard import FEW, Heard
from stall_then_strike.app.contact.assumed.shapes import Form
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feed import EVENTS_CHANNEL, MarketFeed
from stall_then_strike.infra.bitflyer.wire_time import wire_time_ns
from stall_then_strike.sim.exchange.source import Channel
from stall_then_strike.tapes.wires import GAP_S, channel_of, kind_of
from stall_then_strike.types.dto import NS_PER_S

_FORMS: Final[Mapping[Channel, Form]] = {
    Channel.SNAPSHOT: BOARD,
    Channel.BOARD: BOARD,
    Channel.TICKER: TICKER,
    Channel.EXECUTIONS: EXECUTIONS,
}
_GAP_SHARE: Final = 0.05
"""Share of executions that may lack an id before them."""
PERIODS: Final[Mapping[Channel, tuple[float, float]]] = {
    Channel.SNAPSHOT: (SNAPSHOT_S - 0.5, SNAPSHOT_S + 0.5),
    Channel.BOARD: (0.04, 0.5),
    Channel.TICKER: (0.4, 2.0),
}
"""Between which a channel's median gap should be, in seconds. Recorded: snapshots 5.0, deltas 0.12, tickers 0.6."""


class StreamCheck(FrameCheck):
    """Notes deviations of one product's channels, and of the account's."""

    def __init__(
        self, cfg: AppConfig, deviations: Deviations, *, is_private: bool, account: AppConfig | None = None
    ) -> None:
        """``is_private``: the connection has the private channel. ``cfg`` is of one product, ``account`` of all."""
        super().__init__(deviations)
        self._feed = MarketFeed(cfg, is_quiet=True, is_recorded=True)
        self._product = self._feed.product
        self._others = {
            channel
            for other in (cfg if account is None else account).by_instrument()
            if other.exchange.product_code != self._product
            for channel in MarketFeed(other, is_quiet=True).channels
        }
        """Channels of the account's other products, which have a check of their own."""
        self._asked = {*self._feed.channels, *cfg.ws.channels, *([EVENTS_CHANNEL] if is_private else [])}
        self._asked -= self._others
        self.events: Final = EventCheck(cfg.exchange.instrument(), deviations)
        self._last_exec_id = 0

    def on_connected(self, now_ns: int) -> None:
        """A connection was made."""
        super().on_connected(now_ns)
        self._feed.on_connect()
        self._last_exec_id = 0
        for heard in self._heard.values():
            heard.last_ns = None

    def _on_message(self, message: Any, recv_ns: int) -> None:
        channel = channel_of(message)
        if channel is None:
            self._on_other(message)
        elif channel in self._others:
            return
        elif channel not in self._asked:
            self._add("a message of a channel that was not asked for", "only what was subscribed", channel, message)
        else:
            self._on_channel(channel, message, recv_ns)

    # --- messages

    def _on_other(self, message: Any) -> None:
        if isinstance(message, dict) and "result" in message:
            self._found.look_at(ACKNOWLEDGED, message, "acknowledgement")
        elif isinstance(message, dict) and "error" in message:
            self._found.look_at(REFUSED, message, "refusal")
            self._add("a subscription was refused", "result true", "an error", message, is_grave=True)
        else:
            self._add(
                "a message is neither a notification nor an answer", "channelMessage, or an answer to a request",
                "another message", message, is_grave=True,
            )  # fmt: skip

    def _on_channel(self, channel: str, message: Any, recv_ns: int) -> None:
        heard = self._heard.setdefault(channel, Heard())
        heard.take(recv_ns)
        content = message["params"]["message"]
        self._found.look_at(NOTIFICATION, message, "notification")
        if channel == EVENTS_CHANNEL:
            heard.delays_ns.extend(self.events.take(content, recv_ns))
            return
        kind, product = kind_of(channel)
        if kind is None:
            return
        self._found.look_at(_FORMS[kind], content, kind.name.lower())
        if product != self._product:
            return
        self._parse(message, recv_ns)
        if kind is Channel.SNAPSHOT:
            self._check_snapshot(content)
        elif kind is Channel.EXECUTIONS:
            self._check_executions(content)
            heard.delays_ns.extend(_delays(content, "exec_date", recv_ns))
        elif kind is Channel.TICKER:
            heard.delays_ns.extend(_delays([content], "timestamp", recv_ns))

    def _parse(self, message: Any, recv_ns: int) -> None:
        """Let the trader's decoder read the frame."""
        self._feed.on_message(message, recv_ns)
        counts = self._feed.statistics()
        self._note_refused(counts.refused, message)
        checked, agreed = counts.mid_checked, counts.mid_agreed
        if checked - agreed > self._checked - self._agreed and self._mid is None:
            self._mid = message
        self._checked, self._agreed = checked, agreed

    def _check_snapshot(self, content: Any) -> None:
        if not isinstance(content, dict):
            return
        for side in ("bids", "asks"):
            levels = content.get(side)
            if not isinstance(levels, list):
                continue
            if len(levels) != SNAPSHOT_LEVELS:
                name, seen = "the depth of a snapshot", f"{len(levels)} {side}"
                self._add(name, f"{SNAPSHOT_LEVELS} levels a side", seen, content)
            if any(isinstance(level, dict) and level.get("size") == 0 for level in levels):
                self._add("a snapshot has a level of size 0", "none", f"one of the {side}", content)

    def _check_executions(self, content: Any) -> None:
        if not isinstance(content, list):
            return
        for item in content:
            number = item.get("id") if isinstance(item, dict) else None
            if type(number) is not int:
                continue
            self.events.printed(number)
            if number <= self._last_exec_id:
                seen = "the same id again" if number == self._last_exec_id else "a lower id than before"
                self._add("the ids of executions do not rise", "each is higher than the last", seen, content)
            self._last_exec_id = max(self._last_exec_id, number)

    # --- over time

    def finish(self, now_ns: int, skew_ns: int) -> None:
        """Judge periods, silences, mids and delays. ``skew_ns`` is by how much the venue's clock is ahead of ours."""
        self._judge_mid("mid_price is the middle of the best prices, rounded down", "another mid")
        counts = self._feed.statistics()
        if counts.execution_gaps > max(FEW, _GAP_SHARE * counts.executions):
            seen = f"{counts.execution_gaps:,} jumps by more than 1 in {counts.executions:,} executions"
            self._add("the ids of executions have gaps", "they rise by 1", seen)
        for name in sorted(self._asked):
            self._judge(name, now_ns, skew_ns)
        self.events.finish(now_ns)

    def _judge(self, name: str, now_ns: int, skew_ns: int) -> None:
        heard, (kind, product) = self._heard.get(name), kind_of(name)
        if heard is None:
            if kind is not None and kind is not Channel.EXECUTIONS and self.connects:
                self._add(f"{name} is silent", "messages", "not one", is_grave=True)
            return
        if kind is not None and product == self._product:
            self._judge_gaps(name, kind, heard, now_ns)
        heard.judge_delay(name, skew_ns, self._found)

    def _judge_gaps(self, name: str, kind: Channel, heard: Heard, now_ns: int) -> None:
        heard.judge_silence(name, GAP_S[kind], self._found, now_ns, is_connected=self.is_connected)
        if kind in PERIODS and len(heard.gaps_ns) >= FEW:
            low_s, high_s = PERIODS[kind]
            gap_s = median(heard.gaps_ns) / NS_PER_S
            if not low_s <= gap_s <= high_s:
                seen = f"every {gap_s:.2f} s (median of {len(heard.gaps_ns):,})"
                self._add(f"the period of {name}", f"every {low_s:g} to {high_s:g} s", seen)


def _delays(items: Any, stamp: str, recv_ns: int) -> list[int]:
    """Receipt minus stamp of each item with a readable stamp."""
    found = []
    for item in items if isinstance(items, list) else ():
        try:
            found.append(recv_ns - wire_time_ns(item.get(stamp) if isinstance(item, dict) else None))
        except ValueError:
            continue
    return found
