"""A market that stands still, accounts in it and signed calls, for the tests of the exchange's private side."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
import pybotters

from stall_then_strike.sim.bitflyer.keys import ApiKey
from stall_then_strike.sim.bitflyer.limits import AddressCalls, Limits
from stall_then_strike.sim.bitflyer.private_rest import PrivateRest, RestAnswer, RestCall
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings, PrivateVenue
from stall_then_strike.sim.bitflyer.venue_hours import Calendar
from stall_then_strike.sim.exchange.book_side import Owner
from stall_then_strike.sim.exchange.flow_model import Band, FlowModel
from stall_then_strike.sim.exchange.request_log import Audit
from stall_then_strike.sim.exchange.source import Frame
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import Side
from stall_then_strike.types.instrument import Lots, Ticks
from tests.sim.exchange_rig import PRODUCT, SECOND, START_NS

KEY = ApiKey(key="key-of-main", secret="made up for tests")
OTHER = Owner("other")
BID, ASK, MID = 9_999_000, 10_001_000, 10_000_000

QUIET = FlowModel(
    fair_ticks=MID,
    volatility=0.0,
    trend=0.0,
    jumps_per_s=0.0,
    takers_per_s=1e-9,
    pull_chance=0.0,
    snipe_chance=0.0,
    regime_spread=0.0,
    bands=(Band(near_ticks=1_000, far_ticks=1_000, per_s=1e-9, patience_s=1e9),),
)
"""One resting order per side, at BID and ASK, and no other flow."""

NO_CALENDAR = Calendar(maintenance=None, breaker=None, funding_at_s=(), rollover_at_s=None)
NO_LIMITS = Limits(private_calls=None, order_calls=None, small_orders=None)


def sign(key: ApiKey, method: str, target: str, body: bytes = b"", timestamp: str = "1790000000000") -> dict[str, str]:
    text = timestamp.encode() + method.encode() + target.encode() + body
    signature = hmac.new(key.secret.encode(), text, hashlib.sha256).hexdigest()
    return {"ACCESS-KEY": key.key, "ACCESS-TIMESTAMP": timestamp, "ACCESS-SIGN": signature}


def order(side: str = "BUY", price: int | None = BID, size: Any = 0.01, **more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"product_code": PRODUCT, "side": side, "size": size, **more}
    fields.setdefault("child_order_type", "MARKET" if price is None else "LIMIT")
    return fields if price is None else {**fields, "price": price}


class Room:
    """The private side in virtual time, without a socket."""

    def __init__(
        self,
        *keys: ApiKey,
        settings: PrivateSettings | None = None,
        model: FlowModel = QUIET,
        start_ns: int = START_NS,
        ip_limit: int | None = None,
    ) -> None:
        self.market = Market(seed=1, start_ns=start_ns, model=model)
        settings = PrivateSettings(limits=NO_LIMITS, calendar=NO_CALENDAR) if settings is None else settings
        self.venue = PrivateVenue(self.market, keys or (KEY,), settings)
        self.audit = Audit()
        self.rest = PrivateRest(self.venue, AddressCalls(ip_limit), self.audit)
        self.frames: list[Frame] = []

    @property
    def now_ns(self) -> int:
        return self.market.now_ns

    def advance(self, seconds: float = 1.0) -> None:
        self.frames += self.market.advance(self.now_ns + round(seconds * SECOND))

    def answer(self, method: str, target: str, body: bytes = b"", *, key: ApiKey = KEY) -> RestAnswer:
        headers = sign(key, method, target, body)
        return self.rest.answer(
            RestCall(method=method, target=target, headers=headers, body=body, address="1.2.3.4"), self.now_ns
        )

    def post(self, name: str, fields: Mapping[str, Any], *, key: ApiKey = KEY) -> Any:
        answer = self.answer("POST", f"/v1/me/{name}", json.dumps(fields).encode(), key=key)
        return answer.status, orjson.loads(answer.text) if answer.text else None

    def get(self, name: str, query: str = f"product_code={PRODUCT}", *, key: ApiKey = KEY) -> Any:
        answer = self.answer("GET", f"/v1/me/{name}?{query}", key=key)
        assert answer.status == 200, answer
        return orjson.loads(answer.text)

    def send(self, fields: Mapping[str, Any], *, key: ApiKey = KEY) -> str:
        """Send an order, which must be accepted; return its acceptance id."""
        status, answer = self.post("sendchildorder", fields, key=key)
        assert status == 200, answer
        name: str = answer["child_order_acceptance_id"]
        return name

    def cancel(self, acceptance_id: str) -> None:
        fields = {"product_code": PRODUCT, "child_order_acceptance_id": acceptance_id}
        assert self.post("cancelchildorder", fields) == (200, None)

    def other(self, side: Side, size: int, price: int | None = None) -> None:
        """Somebody else sends an order that takes effect at once."""
        self.market.submit(
            self.now_ns, owner=OTHER, side=side, size=Lots(size), price=None if price is None else Ticks(price)
        )

    def messages(self, account: str = "main") -> list[list[dict[str, Any]]]:
        """The messages of child_order_events so far."""
        return [orjson.loads(f.text)["params"]["message"] for f in self.frames if f.account == account]

    def events(self, acceptance_id: str | None = None, account: str = "main") -> list[dict[str, Any]]:
        return [
            event
            for message in self.messages(account)
            for event in message
            if acceptance_id in {None, event["child_order_acceptance_id"]}
        ]

    def story(self, acceptance_id: str | None = None) -> list[str]:
        """The event types; EXECUTION with the remaining size after it."""
        return [
            f"EXECUTION {event['outstanding_size']}" if event["event_type"] == "EXECUTION" else event["event_type"]
            for event in self.events(acceptance_id)
        ]


@contextmanager
def signing_on_loopback(host: str = "127.0.0.1") -> Iterator[None]:
    """Make pybotters sign requests to a local host as it does for bitFlyer's."""
    http, ws = pybotters.auth.Hosts.items, pybotters.ws.AuthHosts.items
    before = http.get(host), ws.get(host)
    http[host] = pybotters.auth.Item("bitflyer", pybotters.auth.Auth.bitflyer)
    ws[host] = pybotters.ws.Item("bitflyer", pybotters.ws.Auth.bitflyer)
    try:
        yield
    finally:
        for items, item in zip((http, ws), before, strict=True):
            if item is None:
                del items[host]
            else:
                items[host] = item
