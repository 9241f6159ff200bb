"""One API key's way to the venue: one counter of nonces, one sender, and the truth about what arrived.

The venue accepts a transaction only if its nonce is exactly the next of its key. The SDK's counter runs ahead after
429, 5xx, HTML and disconnects, and every later send is then refused; so the counter is ours.

While all goes well: sign with consecutive nonces, send, count on. Otherwise the key stops (`_lock` is held) until it is
known what arrived:

- *Not sent, throttled*: nothing arrived. The same bytes go out again after a pause.
- *Refused with a reason*: nothing of the message arrived. A batch is halved until the reason is pinned on one
  transaction; the others go through.
- *Invalid nonce* (21104): the counter was wrong. The venue's counter is read until it stands still; what did not arrive
  is signed anew, with the same client order index.
- *No answer*: it may have arrived, or may arrive later. If the venue's counter has not moved, the same bytes go out
  again: whichever copy comes first takes the nonce, so the other is refused and nothing is done twice. If the counter
  has moved, the hashes tell what arrived. What can neither be found nor be ruled out is *unknown* and never sent again.

A caller for whom time counts (``repeats`` off) is told at once of what did not arrive, and may decide anew; what is in
doubt is resolved all the same. An order that would rest, and had to wait for that, is not sent any more.

The venue's counter may lag behind acceptances that we know of; such a reading is not believed. Pure of HTTP: the three
calls are given.

Venue facts: an accepted transaction consumes its nonce even if its effect fails later; a refused one does not; a batch
whose validation fails is refused as a whole (the circuits and the API's documentation).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, Protocol

from stall_then_strike.infra.clock import Clock
from stall_then_strike.lighter.client import INVALID_NONCE
from stall_then_strike.lighter.signing.intents import Intent, NewOrder, Tif
from stall_then_strike.lighter.signing.signer import SignedTx, Signer
from stall_then_strike.types.errors import (
    AuthRefused,
    NotSent,
    OutcomeUnknown,
    Rejected,
    Retryable,
    Throttled,
    UnfitOrder,
    VenueError,
)
from stall_then_strike.types.names import NS_PER_S

PATIENCE_S: Final = 60.0
"""How long one message is repeated and enquired about; a wait for our own limiter comes on top."""
BETWEEN_READINGS_S: Final = 0.5
"""Between two readings of the venue's counter, and between enquiries; an effect takes 0.2 to 0.3 s."""
_LONGEST_PAUSE_S: Final = 5.0
_HASH_TRIES: Final = 4
_BRACKETED: Final = 3
"""From this many on, the first and the last of a message speak for those between them: their nonces leave no room."""


@unique
class Status(StrEnum):
    """What became of an intent."""

    ACCEPTED = "accepted"
    """Queued by the venue with its nonce; its effect follows, or silently does not."""
    REFUSED = "refused"
    """Certainly not there."""
    UNKNOWN = "unknown"
    """It may be there."""


@dataclass(slots=True, eq=False)
class Item:
    """An intent on its way."""

    intent: Intent
    status: Status | None = None
    """None until it is decided."""
    signed: SignedTx | None = None
    error: VenueError | UnfitOrder | None = None
    in_doubt: bool = False
    """Whether a copy of these very bytes went out and was neither accepted nor refused."""

    def decide(self, status: Status, error: VenueError | UnfitOrder | None = None) -> None:
        """Set the outcome."""
        self.status, self.error = status, error

    @property
    def nonce(self) -> int:
        """The nonce of the signature; -1 without one."""
        return -1 if self.signed is None else self.signed.nonce

    @property
    def given_nonce(self) -> int | None:
        """The nonce that the caller insists on."""
        return self.intent.nonce if isinstance(self.intent, NewOrder) else None


class Enquiry(Protocol):
    """What a key line asks the venue."""

    async def next_nonce(self, api_key_index: int) -> int:
        """The nonce that the venue expects next. Raises VenueError."""
        ...

    async def has_tx(self, tx_hash: str) -> bool:
        """Whether the venue knows a transaction. Raises VenueError."""
        ...


class KeyLine:
    """The only sender of one key."""

    def __init__(
        self,
        api_key_index: int,
        signer: Signer,
        send: Callable[[Sequence[SignedTx]], Awaitable[None]],
        enquiry: Enquiry,
        clock: Clock,
        *,
        batch_limit: int,
        on_trouble: Callable[[str], None],
        patience_s: float = PATIENCE_S,
        between_s: float = BETWEEN_READINGS_S,
        repeats: bool = True,
    ) -> None:
        """``send`` raises VenueError unless all was accepted; ``on_trouble`` receives one line for the log.

        ``repeats``: what did not leave, or was throttled, is sent again here; otherwise it is refused with that error.
        """
        self.api_key_index: Final = api_key_index
        self.batch_limit = batch_limit
        self._signer = signer
        self._send = send
        self._enquiry = enquiry
        self._clock = clock
        self._on_trouble = on_trouble
        self._patience_s = patience_s
        self._between_s = between_s
        self._repeats = repeats
        self._lock = asyncio.Lock()
        self._next: int | None = None
        """The nonce to use next; None: ask."""
        self._floor = 0
        """All nonces below are known to be consumed."""
        self._deadline_ns = 0
        self._contradicted_ns: int | None = None
        """Since when the venue refuses our nonces; None while it does not."""

    async def route(self, send: Callable[[Sequence[SignedTx]], Awaitable[None]], batch_limit: int) -> None:
        """Send over another connection from now on, once what is under way is decided."""
        async with self._lock:
            self._send, self.batch_limit = send, batch_limit

    async def send_all(self, items: Sequence[Item]) -> None:
        """Send in order, in as few messages as possible; afterwards each item has a status."""
        asked_ns = self._clock.now_ns()
        async with self._lock:
            if not self._repeats:
                self._refuse_late(items, self._clock.now_ns() - asked_ns)
            try:
                for message in _messages(items, self.batch_limit):
                    self._deadline_ns = self._clock.now_ns() + int(self._patience_s * NS_PER_S)
                    await self._deliver(message)
            except BaseException:  # cancelled, or a bug: the counter is in doubt
                self._next = None
                self._give_up([item for item in items if item.status is None], NotSent("flush", "it was cut short"))
                raise

    def _refuse_late(self, items: Sequence[Item], waited_ns: int) -> None:
        """Orders that would rest are too old if the key was busy for longer than its patience. Exits are not."""
        if waited_ns >= self._patience_s * NS_PER_S:
            late = NotSent("send", f"the key was busy for {waited_ns / NS_PER_S:.1f} s")
            for item in items:
                if isinstance(item.intent, NewOrder) and item.intent.tif is not Tif.IOC:
                    item.decide(Status.REFUSED, late)

    async def _deliver(self, message: list[Item]) -> None:
        """Send until each item is decided."""
        pause_s = self._between_s
        while message := [item for item in message if item.status is None]:
            error = await self._attempt(message)
            if error is None:
                continue
            if _is_about_content(error) and not message[0].in_doubt:
                await self._refused(message, error)
                return
            self._on_trouble(f"key {self.api_key_index}, {len(message)} transactions: {error}")
            if isinstance(error, Retryable | Throttled) and not self._repeats and not message[0].in_doubt:
                for item in message:
                    item.decide(Status.REFUSED, error)
                return
            if self._clock.now_ns() >= self._deadline_ns:
                self._give_up(message, error)
                return
            await self._pause(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            if not isinstance(error, Retryable | Throttled):
                await self._resolve(message, error)

    async def _attempt(self, message: list[Item]) -> VenueError | None:
        """Sign what is not signed for its nonce, and send. Returns what went wrong, if anything."""
        try:
            first = await self._first_nonce(message[0])
        except (Rejected, AuthRefused) as error:  # account or key are refused, so all is
            return AuthRefused(error.request, error.detail, code=error.code)
        except VenueError as error:
            return error
        if not await self._sign(message, first):
            return None
        before = [item.in_doubt for item in message]
        for item in message:
            item.in_doubt = True
        try:
            await self._send([item.signed for item in message if item.signed is not None])
        except OutcomeUnknown as error:
            return error
        except VenueError as error:  # this copy was refused, which says nothing of an earlier one
            for item, doubt in zip(message, before, strict=True):
                item.in_doubt = doubt
            return error
        self._count_to(first + len(message))
        self._contradicted_ns = None
        for item in message:
            item.decide(Status.ACCEPTED)
        return None

    async def _first_nonce(self, item: Item) -> int:
        if item.given_nonce is not None:
            return item.given_nonce
        if item.in_doubt:
            return item.nonce  # the same bytes again
        if self._next is None:
            self._next = max(self._floor, await self._enquiry.next_nonce(self.api_key_index))
        return self._next

    async def _sign(self, message: list[Item], first: int) -> bool:
        """Sign each item for its nonce unless it is; False if one cannot be signed and is now decided."""
        for nonce, item in enumerate(message, first):
            if item.nonce == nonce:
                continue
            try:
                item.signed = self._signer.sign(item.intent, self.api_key_index, nonce)
            except UnfitOrder as error:
                item.decide(Status.REFUSED, error)
                return False
            item.in_doubt = False
            await asyncio.sleep(0)  # a turn for the event loop between signatures, which are waited for
        return True

    def _count_to(self, nonce: int) -> None:
        self._next = nonce
        self._floor = max(self._floor, nonce)

    async def _refused(self, message: list[Item], error: VenueError) -> None:
        """Nothing of the message arrived, for a reason that lies in one of its transactions, or in the key."""
        if len(message) == 1 or isinstance(error, AuthRefused):
            for item in message:
                item.decide(Status.REFUSED, error)
            if isinstance(error, AuthRefused):
                self._next = None
            return
        middle = len(message) // 2
        await self._deliver(message[:middle])
        await self._deliver(message[middle:])

    # --- what arrived? -----------------------------------------------------------------------------------------------

    async def _resolve(self, message: list[Item], error: VenueError) -> None:
        """Find out what arrived. Items that are decided after this did, or may have; the rest is to be sent again."""
        expected = await self._settled_nonce()
        if expected is None:
            return  # the venue does not answer: the next attempt, or the time limit, decides
        consumed = [item for item in message if 0 <= item.nonce < expected]
        await self._find(consumed)
        self._count_to(expected)
        for item in message:
            if item.status is None and (item in consumed or item.nonce != expected or _is_about_content(error)):
                self._free(item, error)
            expected += item.status is None

    def _free(self, item: Item, error: VenueError) -> None:
        """It is not there and these bytes never will be: their nonce is taken, or is not the next."""
        item.in_doubt = False
        if item.given_nonce is not None and item.nonce != self._next:
            item.decide(Status.REFUSED, error)

    async def _settled_nonce(self) -> int | None:
        """The venue's counter, once two readings in a row agree and neither is older than what we know."""
        last: int | None = None
        while True:
            try:
                reading: int | None = await self._enquiry.next_nonce(self.api_key_index)
            except VenueError as error:
                self._on_trouble(f"key {self.api_key_index}: {error}")
                reading = None
            if reading is not None and reading >= self._floor and reading == last:
                return reading
            last = reading
            if self._clock.now_ns() >= self._deadline_ns:
                return None
            await self._pause(self._between_s)

    async def _find(self, consumed: list[Item]) -> None:
        """Decide those whose nonce is consumed, as far as the venue's list of transactions tells."""
        if len(consumed) >= _BRACKETED and await self._is_known(consumed[0]) and await self._is_known(consumed[-1]):
            for item in consumed:
                item.decide(Status.ACCEPTED)
            return
        for item in consumed:
            if await self._is_known(item):
                item.decide(Status.ACCEPTED)
            elif item.in_doubt:  # somebody else may have taken the nonce, or the list may lag: no evidence either way
                item.decide(Status.UNKNOWN, OutcomeUnknown("send", "its nonce is used, its hash is not found"))

    async def _is_known(self, item: Item) -> bool:
        if item.signed is None:
            return False
        for _ in range(_HASH_TRIES):
            try:
                if await self._enquiry.has_tx(item.signed.tx_hash):
                    return True
                if not item.in_doubt:
                    return False
            except VenueError as error:
                self._on_trouble(f"key {self.api_key_index}: {error}")
            await self._pause(self._between_s)
        return False

    def _give_up(self, message: list[Item], error: VenueError) -> None:
        self._next = None
        if error.code == INVALID_NONCE and self._is_long_contradicted():
            self._floor = 0  # perhaps the key was registered anew
        for item in message:
            if item.in_doubt:
                item.decide(Status.UNKNOWN, OutcomeUnknown(error.request, error.detail, code=error.code))
            else:
                item.decide(Status.REFUSED, error)

    def _is_long_contradicted(self) -> bool:
        """Whether our nonces have been refused for so long, with all givings-up, that they must be wrong."""
        now_ns = self._clock.now_ns()
        if self._contradicted_ns is None:
            self._contradicted_ns = now_ns - int(self._patience_s * NS_PER_S)
        long_s = self._patience_s if self._repeats else PATIENCE_S
        return now_ns - self._contradicted_ns >= long_s * NS_PER_S

    async def _pause(self, seconds: float) -> None:
        await self._clock.sleep_until(self._clock.now_ns() + int(seconds * NS_PER_S))


def _is_about_content(error: VenueError) -> bool:
    """Whether the venue read the message and refused what it says."""
    return isinstance(error, Rejected | AuthRefused) and error.code != INVALID_NONCE


def _messages(items: Sequence[Item], limit: int) -> Iterator[list[Item]]:
    """Cut into messages of at most ``limit``; an order with a nonce of its own goes alone."""
    message: list[Item] = []
    for item in items:
        alone = item.given_nonce is not None
        if message and (alone or len(message) >= limit):
            yield message
            message = []
        message.append(item)
        if alone:
            yield message
            message = []
    if message:
        yield message
