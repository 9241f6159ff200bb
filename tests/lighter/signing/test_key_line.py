"""One key between a caller and a venue that loses answers: nothing lost, nothing done twice, whatever happens."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.lighter.signing.intents import CancelOrder, Intent, NewOrder, index_of
from stall_then_strike.lighter.signing.key_line import Item, KeyLine, Status
from stall_then_strike.lighter.signing.signer import SignedTx, Signer
from stall_then_strike.types.errors import (
    AuthRefused,
    NoAnswer,
    NotSent,
    OutcomeUnknown,
    Rejected,
    Throttled,
    UnfitOrder,
    VenueError,
)

INVALID_NONCE = 21104
NS_PER_S = 1_000_000_000


class PlainSigner:
    """Signs so that the fake venue can read it: no key, no crypto."""

    def __init__(self) -> None:
        self.made = 0

    def sign(self, intent: Intent, api_key_index: int, nonce: int) -> SignedTx:
        self.made += 1
        if isinstance(intent, CancelOrder) and intent.index == 666:
            raise UnfitOrder("the signer refuses it")
        text = f"{type(intent).__name__}:{index_of(intent)}"
        return SignedTx(tx_type=14, tx_info=text, tx_hash=f"{text}@{nonce}", nonce=nonce)


@dataclass
class Venue:
    """Accepts what has the next nonce, all or nothing. ``script`` decides what happens to each message."""

    rng: random.Random
    script: list[str] = field(default_factory=list)
    chance: float = 0.0
    nonce: int = 0
    accepted: list[str] = field(default_factory=list)
    hashes: set[str] = field(default_factory=set)
    late: list[Sequence[SignedTx]] = field(default_factory=list)
    """Messages whose sender has been told that they are lost, and which still arrive."""
    poison: set[str] = field(default_factory=set)
    messages: list[int] = field(default_factory=list)
    lag: int = 0

    TROUBLES = ("lost before", "lost after", "late", "throttled", "not sent", "foreign", "stale")

    def take(self, batch: Sequence[SignedTx]) -> VenueError | None:
        for place, tx in enumerate(batch):
            if tx.nonce != self.nonce + place:
                return Rejected("send", "invalid nonce", code=INVALID_NONCE)
        if any(tx.tx_info in self.poison for tx in batch):
            return Rejected("send", "invalid price", code=21703)
        self.nonce += len(batch)
        self.accepted += [tx.tx_info for tx in batch]
        self.hashes |= {tx.tx_hash for tx in batch}
        return None

    async def send(self, batch: Sequence[SignedTx]) -> None:
        self.messages.append(len(batch))
        trouble = self.trouble()
        self.deliver_late()
        if trouble == "not sent":
            raise NotSent("send", "refused")
        if trouble == "throttled":
            raise Throttled("send", "too many", retry_at_ns=0, code=23000)
        if trouble == "lost before":
            raise OutcomeUnknown("send", "no answer")
        if trouble == "late":
            self.late.append(batch)
            raise OutcomeUnknown("send", "no answer")
        if trouble == "foreign":
            self.nonce += 1  # somebody else uses the key
        error = self.take(batch)
        if trouble == "lost after":
            raise OutcomeUnknown("send", "no answer")
        if trouble == "stale":
            self.lag = len(batch)
        if error is not None:
            raise error

    def trouble(self) -> str:
        if self.script:
            return self.script.pop(0)
        return self.rng.choice(self.TROUBLES) if self.rng.random() < self.chance else ""

    def deliver_late(self) -> None:
        for batch in self.late:
            self.take(batch)
        self.late.clear()

    async def next_nonce(self, api_key_index: int) -> int:
        if self.late and self.rng.random() < 0.5:
            self.deliver_late()
        if self.chance and self.rng.random() < self.chance / 2:
            raise NoAnswer("nextNonce", "no answer")
        lag, self.lag = self.lag, 0
        return max(0, self.nonce - lag)

    async def has_tx(self, tx_hash: str) -> bool:
        if self.chance and self.rng.random() < self.chance / 2:
            raise NoAnswer("tx", "no answer")
        return tx_hash in self.hashes


def line(venue: Venue, clock: VirtualClock | None = None, **more: Any) -> KeyLine:
    return KeyLine(
        4,
        cast("Signer", PlainSigner()),
        venue.send,
        venue,
        clock or VirtualClock(0),
        batch_limit=more.pop("batch_limit", 50),
        on_trouble=lambda text: None,
        **more,
    )


def orders(count: int, first: int = 1) -> list[Item]:
    return [
        Item(NewOrder(market_index=0, client_order_index=first + n, base_amount=50, price=380_000, is_ask=False))
        for n in range(count)
    ]


def texts(items: Sequence[Item]) -> list[str]:
    return [f"{type(item.intent).__name__}:{index_of(item.intent)}" for item in items]


async def test_batches_hold_at_most_fifty_with_consecutive_nonces() -> None:
    venue = Venue(random.Random(1))
    items = orders(120)
    await line(venue).send_all(items)
    assert venue.messages == [50, 50, 20]
    assert [item.nonce for item in items] == list(range(120))
    assert venue.accepted == texts(items)


@pytest.mark.parametrize("trouble", Venue.TROUBLES)
async def test_one_trouble_in_the_middle_changes_nothing_for_the_caller(trouble: str) -> None:
    venue = Venue(random.Random(1), script=["", trouble, "", ""], nonce=7)
    items = orders(6)
    key = line(venue, batch_limit=2)
    await key.send_all(items)
    assert {item.status for item in items} == {Status.ACCEPTED}
    assert venue.accepted == texts(items)
    await key.send_all(more := orders(2, first=100))
    assert venue.accepted == texts(items + more)


@pytest.mark.parametrize("seed", range(150))
async def test_any_mixture_of_troubles_loses_nothing_and_does_nothing_twice(seed: int) -> None:
    rng = random.Random(seed)
    venue = Venue(rng, chance=rng.choice((0.1, 0.3, 0.6)), nonce=rng.randrange(1000))
    key = line(venue, batch_limit=rng.choice((1, 3, 15, 50)))
    sent: list[Item] = []
    for turn in range(6):
        items = orders(rng.randrange(1, 25), first=1 + 100 * turn)
        await key.send_all(items)
        sent += items
    venue.deliver_late()
    accepted = set(venue.accepted)
    assert len(accepted) == len(venue.accepted), "twice"
    for item, text in zip(sent, texts(sent), strict=True):
        assert item.status is not None
        if item.status is Status.ACCEPTED:
            assert text in accepted, "lost"
        if item.status is Status.REFUSED:
            assert text not in accepted, "done although reported as not done"
    unknown = [item for item in sent if item.status is Status.UNKNOWN]
    assert len(unknown) <= len(sent) // 4, "doubt is the exception"


async def test_one_bad_order_does_not_take_the_others_with_it() -> None:
    items = orders(50)
    bad = texts(items)[17]
    venue = Venue(random.Random(1), poison={bad})
    await line(venue).send_all(items)
    assert venue.accepted == [text for text in texts(items) if text != bad]
    assert [n for n, item in enumerate(items) if item.status is Status.REFUSED] == [17]
    assert isinstance(items[17].error, Rejected)
    assert len(venue.messages) <= 13


async def test_order_that_the_signer_refuses_leaves_no_gap() -> None:
    venue = Venue(random.Random(1))
    items = [*orders(2), Item(CancelOrder(market_index=0, index=666)), *orders(2, first=10)]
    await line(venue).send_all(items)
    assert [item.status for item in items] == [Status.ACCEPTED] * 2 + [Status.REFUSED] + [Status.ACCEPTED] * 2
    assert venue.nonce == 4


async def test_refused_key_refuses_all_and_asks_for_the_nonce_again() -> None:
    class Closed(Venue):
        async def send(self, batch: Sequence[SignedTx]) -> None:
            self.messages.append(len(batch))
            raise AuthRefused("send", "invalid signature", code=21120)

    venue = Closed(random.Random(1))
    await line(venue).send_all(items := orders(5))
    assert {item.status for item in items} == {Status.REFUSED}
    assert venue.messages == [5]


async def test_silent_venue_leaves_doubt_after_the_time_limit_and_the_next_send_starts_clean() -> None:
    class Silent(Venue):
        is_silent = True

        async def send(self, batch: Sequence[SignedTx]) -> None:
            if self.is_silent:
                raise OutcomeUnknown("send", "no answer")
            await super().send(batch)

    venue, clock = Silent(random.Random(1)), VirtualClock(0)
    key = line(venue, clock, patience_s=20)
    await key.send_all(items := orders(3))
    assert {item.status for item in items} == {Status.UNKNOWN}
    assert 20 * NS_PER_S <= clock.now_ns() <= 40 * NS_PER_S
    venue.is_silent = False
    await key.send_all(more := orders(2, first=50))
    assert {item.status for item in more} == {Status.ACCEPTED}


async def test_dead_venue_is_not_sent_and_certainly_not_there() -> None:
    class Dead(Venue):
        async def next_nonce(self, api_key_index: int) -> int:
            raise NotSent("nextNonce", "no connection")

    venue = Dead(random.Random(1))
    await line(venue, patience_s=10).send_all(items := orders(3))
    assert [(item.status, type(item.error)) for item in items] == [(Status.REFUSED, NotSent)] * 3


async def test_given_nonce_goes_alone_and_is_never_changed() -> None:
    venue = Venue(random.Random(1), nonce=5)
    key = line(venue, patience_s=5)
    given = [
        Item(NewOrder(market_index=0, client_order_index=9 + n, base_amount=50, price=1, is_ask=False, nonce=nonce))
        for n, nonce in enumerate((5, 99))
    ]
    await key.send_all([*given, *orders(2, first=50)])
    assert [item.status for item in given] == [Status.ACCEPTED, Status.REFUSED]
    assert given[1].error is not None
    assert venue.accepted == [texts(given)[0], *texts(orders(2, first=50))]


async def test_key_registered_anew_starts_from_zero_again() -> None:
    venue = Venue(random.Random(1), nonce=500)
    key = line(venue, patience_s=5)
    await key.send_all(orders(2))
    venue.nonce = 0
    await key.send_all(lost := orders(1, first=10))
    assert [item.status for item in lost] == [Status.REFUSED]
    await key.send_all(more := orders(1, first=20))
    assert [item.nonce for item in more] == [0]
