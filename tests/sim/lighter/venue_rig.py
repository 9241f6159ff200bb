"""A venue in virtual time, and a client that signs for one key without the SDK."""

from __future__ import annotations

import base64
import random
from typing import Any

import orjson

from stall_then_strike.sim.lighter.crypto.schnorr import sign, token_hash
from stall_then_strike.sim.lighter.lighter_venue import LighterVenue, Receipt, VenueSettings
from stall_then_strike.sim.lighter.transactions import TxType, decode
from tests.sim.lighter.floor_rig import START_NS

MS = 10**6
MINUTE_MS = 60_000
NOW_MS = START_NS // MS
UNSIGNED = VenueSettings(verifies_orders=False)


class Client:
    """One key of one account. Transactions carry the next nonce unless told otherwise."""

    def __init__(
        self,
        settings: VenueSettings = UNSIGNED,
        venue: LighterVenue | None = None,
        account: int | None = None,
        key: int = 4,
    ) -> None:
        self.venue = LighterVenue(start_ns=START_NS, seed=1, settings=settings) if venue is None else venue
        self.account = self.venue.add_account(100_000 * 10**6) if account is None else self.venue.account(account)
        self.key = key
        self.private = self.venue.add_key(self.account, key)
        self.nonce = 0
        self.signs = settings.verifies_orders

    def text(self, kind: TxType, body: dict[str, Any], **changes: Any) -> str:
        head = {"AccountIndex": self.account.index, "ApiKeyIndex": self.key}
        tail = {"ExpiredAt": NOW_MS + 9 * MINUTE_MS, "Nonce": self.nonce, "Sig": "", "L2TxAttributes": None}
        fields = {**head, **body, **tail, **changes}
        if self.signs and not fields["Sig"]:
            digest = decode(kind, orjson.dumps(fields).decode(), self.venue.settings.chain_id).hash
            fields["Sig"] = base64.b64encode(sign(self.private, digest, random.Random(self.nonce).randrange)).decode()
        return orjson.dumps(fields).decode()

    def send(self, kind: TxType, body: dict[str, Any], at_ns: int | None = None, **changes: Any) -> Receipt:
        is_protected = changes.pop("is_protected", False)
        receipt = self.venue.submit(
            kind,
            self.text(kind, body, **changes),
            self.venue.now_ns if at_ns is None else at_ns,
            is_protected=is_protected,
        )
        if receipt.code == 200:
            self.nonce += 1
        return receipt

    def create(self, **changes: Any) -> Receipt:
        """A good ask that rests; ``changes`` to its body or, by their names, to the transaction."""
        body = {
            "MarketIndex": 0, "ClientOrderIndex": 0, "BaseAmount": 100, "Price": 310_000, "IsAsk": 1, "Type": 0,
            "TimeInForce": 1, "ReduceOnly": 0, "TriggerPrice": 0, "OrderExpiry": NOW_MS + 60 * MINUTE_MS,
        }  # fmt: skip
        for name in body.keys() & changes.keys():
            body[name] = changes.pop(name)
        return self.send(TxType.CREATE_ORDER, body, **changes)

    def cancel(self, index: int, market: int = 0, **changes: Any) -> Receipt:
        return self.send(TxType.CANCEL_ORDER, {"MarketIndex": market, "Index": index}, **changes)

    def modify(self, index: int, size: int, price: int, trigger: int = 0, **changes: Any) -> Receipt:
        body = {"MarketIndex": 0, "Index": index, "BaseAmount": size, "Price": price, "TriggerPrice": trigger}
        return self.send(TxType.MODIFY_ORDER, body, **changes)

    def cancel_all(self, mode: int = 0, time_ms: int = 0, **changes: Any) -> Receipt:
        return self.send(TxType.CANCEL_ALL_ORDERS, {"TimeInForce": mode, "Time": time_ms}, **changes)

    def leverage(self, fraction: int, mode: int = 0, **changes: Any) -> Receipt:
        body = {"MarketIndex": 0, "InitialMarginFraction": fraction, "MarginMode": mode}
        return self.send(TxType.UPDATE_LEVERAGE, body, **changes)

    def settle(self, ms: int = 300) -> None:
        """Let so much time pass: by default as long as a transaction may take."""
        self.venue.floor.move_to(self.venue.now_ns + ms * MS)

    def token(self, deadline_s: int, text: str | None = None) -> str:
        text = f"{deadline_s}:{self.account.index}:{self.key}" if text is None else text
        return f"{text}:{sign(self.private, token_hash(text), random.Random(1).randrange).hex()}"
