"""A fixed start and a plain book, for the tests of the simulated venue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from stall_then_strike.sim.exchange.source import Channel, Frame

START_NS = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
PRODUCT = "FX_BTC_JPY"
SNAPSHOT = Channel.SNAPSHOT.of(PRODUCT)
BOARD = Channel.BOARD.of(PRODUCT)
EXECUTIONS = Channel.EXECUTIONS.of(PRODUCT)
TICKER = Channel.TICKER.of(PRODUCT)


class PlainBook:
    """A client's book in the simplest form: replaced by snapshots, changed by deltas."""

    def __init__(self) -> None:
        self.is_known = False
        self.sides: dict[str, dict[float, float]] = {"bids": {}, "asks": {}}

    def feed(self, channel: str, message: Any) -> None:
        if channel == SNAPSHOT:
            self.is_known = True
            self.sides = {"bids": {}, "asks": {}}
        elif not self.is_known:
            return
        for key, levels in self.sides.items():
            for entry in message[key]:
                if entry["size"]:
                    levels[entry["price"]] = entry["size"]
                else:
                    levels.pop(entry["price"], None)

    @property
    def best(self) -> tuple[float, float]:
        return max(self.sides["bids"]), min(self.sides["asks"])

    @property
    def mid(self) -> float:
        bid, ask = self.best
        return (bid + ask) // 2


def message_of(frame: Frame) -> Any:
    """The channel message inside a frame, after checking its envelope."""
    outer = orjson.loads(frame.text)
    assert set(outer) == {"jsonrpc", "method", "params"}
    assert (outer["jsonrpc"], outer["method"]) == ("2.0", "channelMessage")
    assert outer["params"]["channel"] == frame.channel
    return outer["params"]["message"]


def of_channel(frames: Iterable[Frame], channel: str) -> list[Frame]:
    return [frame for frame in frames if frame.channel == channel]
