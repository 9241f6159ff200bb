"""A client that copes with faults: signed calls and a socket with a login, over real HTTP on loopback."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.sim.bitflyer.limits import Limits
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings, PrivateVenue
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.exchange.flow_model import FlowModel
from stall_then_strike.sim.faults.kinds import Fault, FaultKind, FaultPlan
from stall_then_strike.sim.market import Market
from tests.sim.exchange_rig import PRODUCT, START_NS
from tests.sim.private_rig import KEY, NO_CALENDAR, NO_LIMITS, QUIET, sign

SPEED = 20.0
EVENTS = "child_order_events"


def auth_request(request_id: int = 1) -> dict[str, Any]:
    nonce, timestamp = "n" * 20, 1_790_000_000
    signature = hmac.new(KEY.secret.encode(), f"{timestamp}{nonce}".encode(), hashlib.sha256).hexdigest()
    params = {"api_key": KEY.key, "timestamp": timestamp, "nonce": nonce, "signature": signature}
    return {"method": "auth", "params": params, "id": request_id}


def subscribe(channel: str, request_id: int = 2) -> dict[str, Any]:
    return {"method": "subscribe", "params": {"channel": channel}, "id": request_id}


class Client:
    """One user of an exchange."""

    def __init__(self, venue: BitflyerExchange, private: PrivateVenue, session: aiohttp.ClientSession) -> None:
        self.venue = venue
        self.private = private
        self.session = session
        self.headers: dict[str, str] = {}
        """Headers of the last answer, names in lower case."""

    @property
    def struck(self) -> dict[str, int]:
        return dict(self.venue.faults.struck)

    def inject(self, kind: FaultKind, **options: Any) -> None:
        self.venue.faults.inject(Fault(kind=kind, **options))

    async def post(self, name: str, fields: dict[str, Any]) -> tuple[int, str]:
        target, body = f"/v1/me/{name}", json.dumps({"product_code": PRODUCT, **fields}).encode()
        headers = {**sign(KEY, "POST", target, body), "Content-Type": "application/json"}
        async with self.session.post(self.venue.base_url + target, data=body, headers=headers) as answer:
            self.headers = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, await answer.text()

    async def get(self, name: str) -> tuple[int, str]:
        """A private call by ``me/name``, a public one by ``name``."""
        target = f"/v1/{name}?product_code={PRODUCT}"
        headers = sign(KEY, "GET", target)
        async with self.session.get(self.venue.base_url + target, headers=headers) as answer:
            self.headers = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, await answer.text()

    async def send(self, fields: dict[str, Any]) -> str:
        status, text = await self.post("sendchildorder", fields)
        assert status == 200, text
        name: str = orjson.loads(text)["child_order_acceptance_id"]
        return name

    async def cancel(self, name: str) -> tuple[int, str]:
        return await self.post("cancelchildorder", {"child_order_acceptance_id": name})

    @asynccontextmanager
    async def socket(self, *requests: dict[str, Any]) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with self.session.ws_connect(self.venue.ws_url, autoping=False) as ws:
            for request in requests:
                await ws.send_json(request)
            yield ws


@asynccontextmanager
async def troubled(
    *faults: Fault,
    model: FlowModel = QUIET,
    plan: FaultPlan | None = None,
    limits: Limits = NO_LIMITS,
    is_paced: bool = True,
    clock: ScaledClock | None = None,
    **settings: Any,
) -> AsyncIterator[Client]:
    """A client of an exchange with faults."""
    market = Market(seed=1, start_ns=START_NS, model=model)
    private = PrivateVenue(market, [KEY], PrivateSettings(calendar=NO_CALENDAR, limits=limits, **settings))
    if clock is None and is_paced:
        clock = ScaledClock(SPEED, START_NS)
    plan = FaultPlan(faults) if plan is None else plan
    timeout = aiohttp.ClientTimeout(total=60)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        BitflyerExchange(market, clock=clock, private=private, faults=plan) as venue,
    ):
        yield Client(venue, private, session)
