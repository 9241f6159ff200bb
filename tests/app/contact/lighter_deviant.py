"""A Lighter that deviates on the wire: the relay of `deviant` in front of a faithful one.

``WAYS`` has one entry for each way, with the name under which a report must tell of it.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from tests.app.contact.deviant import (
    Deviant,
    Deviation,
    Frames,
    Message,
    Reply,
    as_text,
    beside,
    body_of,
    denied_with_403,
    error_code,
    every,
    put,
    renamed,
    rows,
    without,
)


@dataclass
class LighterDeviant(Deviant):
    """The relay."""

    socket_path: str = "/stream"
    call_prefix: str = "/api/v1/"
    channel_of: Callable[[Message], str | None] = lambda frame: str(frame.get("type")).partition("/")[2]


def of(kind: str, edit: Callable[[Message], Any], *, first: bool | None = None) -> Callable[[str, Message], None]:
    """Change messages of one kind of channel in place; ``first``: only first messages, or only later ones."""

    def change(seen: str, message: Message) -> None:
        is_first = str(message.get("type")).startswith("subscribed/")
        if seen == kind and first in {None, is_first}:
            edit(message)

    return change


def book(edit: Callable[[Any], Any], *, first: bool | None = None) -> Callable[[str, Message], None]:
    return of("order_book", lambda message: edit(message["order_book"]), first=first)


def stats(edit: Callable[[Any], Any]) -> Callable[[str, Message], None]:
    return of("market_stats", lambda message: edit(message["market_stats"]))


def listed(kind: str, name: str, edit: Callable[[Any], None]) -> Callable[[str, Message], None]:
    """Change each row of a list in a message."""
    return of(kind, lambda message: rows(edit)(message.get(name) or ()))


def mapped(kind: str, name: str, edit: Callable[[Any], None]) -> Callable[[str, Message], None]:
    """Change each row, or each row of each list, of an object by number."""

    def change(message: Message) -> None:
        for value in (message.get(name) or {}).values():
            rows(edit)(value if isinstance(value, list) else [value])

    return of(kind, change)


def twice(seen: str, message: Message) -> Frames | None:
    is_update = message.get("type") == "update/account_all" and bool(message.get("trades"))
    return [message, deepcopy(message)] if is_update else None


def lost(seen: str, message: Message) -> Frames | None:
    return [] if message.get("type") == "update/order_book" else None


def still_offset(value: Any) -> None:
    value["offset"] = 7


def farther(name: str) -> Callable[[Any], None]:
    return lambda row: row.update({name: str(float(row[name]) * 1.1)})


def backwards(value: Any) -> None:
    value["asks"] = value["asks"][::-1]


def empty_level(value: Any) -> None:
    value["bids"].append({"price": "0.01", "size": "0.0000"})


def in_seconds(name: str) -> Callable[[Any], None]:
    return lambda row: row.update({name: row[name] // 1_000})


def as_number(name: str) -> Callable[[Any], None]:
    return lambda row: row.update({name: float(row[name])})


def no_session(message: Message) -> None:
    if message.get("type") == "connected":
        message.pop("session_id", None)


def more_decimals(body: Any) -> None:
    for row in body["order_books"]:
        row["supported_size_decimals"] += 1


def other_code(old: int, new: int) -> Callable[[Reply], None]:
    def change(reply: Reply) -> None:
        if reply.status == 400 and reply.body.get("code") == old:
            reply.body = {**reply.body, "code": new}

    return change


def plain_text(reply: Reply) -> None:
    if reply.path == "fundings":
        reply.headers["Content-Type"] = "text/plain"


def html(reply: Reply) -> None:
    if reply.path == "recentTrades":
        reply.text = "<html>busy</html>"


def late(reply: Reply) -> None:
    if reply.path == "/":
        body = reply.body
        reply.body = {**body, "timestamp": body["timestamp"] + 20}


def oldest_first(body: Any) -> None:
    body["trades"] = (body.get("trades") or [])[::-1]


STREAM = {
    "a field of the book is missing": Deviation("order_book.order_book.code is missing", book(without("code"))),
    "a field of the statistics is renamed": Deviation(
        "market_stats.market_stats.mark is not known", stats(renamed("mark_price", "mark"))
    ),
    "a text is a number": Deviation(
        "market_stats.market_stats.index_price has another form", stats(as_number("index_price"))
    ),
    "another word for a trade": Deviation(
        "trade.trades.type has another form", listed("trade", "trades", put("type", "TRADE"))
    ),
    "a stamp in seconds": Deviation(
        "trade.trades.timestamp has another form", listed("trade", "trades", in_seconds("timestamp"))
    ),
    "a change of the book is lost": Deviation("the book's nonces do not join", every(40, lost)),
    "the offset stands still": Deviation("the book's offset does not rise", book(still_offset)),
    "a snapshot is not sorted": Deviation("a snapshot is not best first", book(backwards, first=True)),
    "a snapshot has an empty level": Deviation("a snapshot has a level of size 0", book(empty_level, first=True)),
    "an unknown channel": Deviation(
        "a message of a channel that was not asked for",
        beside("trade", {"channel": "rumour:0", "type": "update/rumour"}),
    ),
    "a text that is not JSON": Deviation("a frame is not JSON", beside("trade", "<html>")),
    "an unknown type": Deviation("a message of an unknown type", beside("trade", {"type": "notice", "text": "hello"})),
    "an error": Deviation("an error on the socket", beside("trade", {"error": {"code": 30010, "message": "Too Many"}})),
    "another amount": Deviation(
        "usd_amount is not size x price", listed("trade", "trades", put("usd_amount", "1.000000"))
    ),
    "another type of update": Deviation(
        "the type of market_stats", every(5, of("market_stats", put("type", "changed/market_stats")))
    ),
    "a greeting without its id": Deviation("greeting.session_id is missing", rpc=no_session),
    "a size that is none": Deviation(
        "the parser refuses: trade", every(3, listed("trade", "trades", put("size", "much")))
    ),
}
MID = Deviation("mid_price is not the book's", stats(farther("mid_price")))
"""Alone: the session asks for the book anew and anew."""
PRIVATE = {
    "another word for an end": Deviation(
        "account_all_orders.orders.status has another form",
        mapped(
            "account_all_orders", "orders", lambda row: row.update(status=row["status"].replace("canceled", "ended"))
        ),
    ),
    "amounts that do not add up": Deviation(
        "the amounts of an order do not add up",
        mapped("account_all_orders", "orders", put("initial_base_amount", "77.0000")),
    ),
    "a position is a number": Deviation(
        "account_all.positions.position has another form", mapped("account_all", "positions", as_number("position"))
    ),
    "a transaction lacks its hash": Deviation(
        "the parser refuses: account_tx", listed("account_tx", "txs", without("hash"))
    ),
    "figures lack one": Deviation(
        "user_stats.stats.leverage is missing", of("user_stats", lambda message: without("leverage")(message["stats"]))
    ),
    "a trade is told twice": Deviation("a trade was told twice", twice),
}
"""Somebody has to trade."""
ANSWERS = {
    "finer sizes": Deviation("the market's size_decimals", answer=body_of("orderBooks", more_decimals)),
    "candles in seconds": Deviation(
        "candles.c.t has another form", answer=body_of("candles", lambda body: rows(in_seconds("t"))(body["c"] or ()))
    ),
    "another code": Deviation("the refusal of an unknown account", answer=other_code(21100, 21199)),
    "another status": Deviation("the refusal of a bad token", answer=denied_with_403),
    "another content type": Deviation("the content type of fundings", answer=plain_text),
    "a nonce is a text": Deviation("nextNonce.nonce has another form", answer=body_of("nextNonce", as_text("nonce"))),
    "the oldest first": Deviation("trades is not newest first", answer=body_of("trades", oldest_first)),
    "another plan": Deviation("the account's plan", answer=body_of("accountLimits", put("user_tier", "gold"))),
    "a page in place of an answer": Deviation("recentTrades is not JSON", answer=html),
    "a clock that is ahead": Deviation("the clock", answer=late),
}
SOCKET = {
    "another refusal of a channel again": Deviation(
        "the answer to the same channel again", rpc=error_code(30003, 30000)
    ),
    "another refusal of an unknown channel": Deviation(
        "the answer to an unknown channel", rpc=error_code(30005, 30001)
    ),
    "another refusal without a token": Deviation(
        "the answer to a private channel without a token", rpc=error_code(20013, 20001)
    ),
}
WAYS = {**STREAM, **PRIVATE, **ANSWERS, **SOCKET}
