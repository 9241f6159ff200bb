"""Where the requests on Lighter's stream meet the venue: snapshots, tokens, transactions, and the faults of these.

Faults of transactions strike REST calls as well: the venue asks here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson

from stall_then_strike.sim.exchange.source import Frame
from stall_then_strike.sim.faults.injector import FaultInjector
from stall_then_strike.sim.faults.kinds import TX_REFUSALS, Site
from stall_then_strike.sim.faults.lighter_frames import LighterFrames
from stall_then_strike.sim.lighter.lighter_venue import OK, LighterVenue
from stall_then_strike.sim.lighter.realtime.channel_names import Subject
from stall_then_strike.sim.lighter.realtime.live_feed import LiveFeed
from stall_then_strike.sim.lighter.realtime.stream import INVALID_AUTH, INVALID_CHANNEL, LARGEST_BATCH, Accepted
from stall_then_strike.sim.lighter.transactions import Refusal, Transaction, TxType
from stall_then_strike.types.dto import NS_PER_MS


class LighterDesk:
    """The venue as the stream's sessions see it."""

    def __init__(
        self,
        venue: LighterVenue,
        feed: LiveFeed,
        frames: LighterFrames,
        faults: FaultInjector,
        *,
        settled_ns: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        """``settled_ns`` lets everything due happen and gives the time; ``wake`` says that something is due earlier."""
        self._venue = venue
        self._feed = feed
        self._frames = frames
        self._faults = faults
        self._settled_ns = settled_ns
        self._wake = wake
        venue.mishap = self._loses_order
        venue.refusal = self._refusal

    def now_ns(self) -> int:
        """Venue time."""
        return self._feed.now_ns

    def check_subject(self, subject: Subject) -> None:
        """Raise Refusal unless there is such a market or account."""
        if subject.market is not None and subject.market not in self._venue.pits:
            raise Refusal(INVALID_CHANNEL, f"Invalid Channel:  ({subject.topic})")
        if subject.account is not None:
            self._venue.account(subject.account)

    def check_token(self, token: str, subject: Subject) -> None:
        """Raise Refusal unless the token opens the channel."""
        now_ns = self._settled_ns()
        if self._faults.take(Site.AUTH, now_ns) is not None:
            raise Refusal(INVALID_AUTH, f"invalid auth: expired token: {subject.wire}")
        try:
            account = self._venue.authenticate(token, now_ns)
        except Refusal as refusal:
            raise Refusal(refusal.code, f"{refusal.message}: {subject.wire}") from None
        if account != subject.account:
            raise Refusal(INVALID_AUTH, f"invalid auth: account index mismatch: {subject.wire}")

    def snapshot(self, subject: Subject) -> str | None:
        """The first message of a channel; None when a fault has lost it."""
        now_ns = self._settled_ns()
        text = orjson.dumps(self._feed.snapshot(subject)).decode()
        frame = self._frames.snapshot(Frame(time_ns=now_ns, channel=subject.key, text=text))
        return None if frame is None else frame.text

    def send(self, types: Sequence[int], infos: Sequence[str], address: str) -> Accepted:
        """Hand in transactions that came on a socket. Raises Refusal."""
        now_ns = self._settled_ns()
        payer = self._venue.sender(infos[0]) if infos else None
        self._venue.limits.charge("sendTx" if len(types) == 1 else "sendTxBatch", address, payer, now_ns)
        if len(types) == 1 == len(infos):
            receipt = self._venue.submit(types[0], infos[0], now_ns)
        else:
            receipt = self._venue.submit_batch(types, infos, now_ns, most=LARGEST_BATCH)
        if receipt.code != OK:
            raise Refusal(receipt.code, receipt.message)
        for tx_type, tx_hash in zip(types, receipt.tx_hashes, strict=True):
            if tx_type == TxType.CREATE_ORDER and self._faults.take(Site.EVENTS, now_ns) is not None:
                self._feed.accounts.silenced.add(tx_hash)
        self._wake()
        return Accepted(receipt.tx_hashes, receipt.due_ns // NS_PER_MS)

    # --- what the venue asks --------------------------------------------------------------------------------------

    def _loses_order(self, tx: Transaction) -> bool:
        """Whether an accepted order is cancelled without a word as it takes effect."""
        return tx.type is TxType.CREATE_ORDER and self._faults.take(Site.EFFECT, self._venue.now_ns) is not None

    def _refusal(self) -> Refusal | None:
        fault = self._faults.take(Site.TX, self._feed.now_ns)
        return None if fault is None else Refusal(fault.code, TX_REFUSALS[fault.code])
