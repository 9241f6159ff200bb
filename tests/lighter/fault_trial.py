"""Many orders placed, changed and cancelled while the exchange misbehaves, and what its books say afterwards.

A careful client stands behind the dealer: it places again only what was refused, or what the venue says it cancelled by
itself; it looks for what is in doubt; it changes and cancels again as long as the list of open orders shows something
else. Orders go out in groups, over REST and over the socket by turns, while the faults' windows pass. Then the client's
wish is compared with the exchange's own books and its list of accepted transactions.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.line.socket_line import LineRules
from stall_then_strike.lighter import LighterDealer
from stall_then_strike.lighter.ws import LighterWebSocketManager
from stall_then_strike.sim.faults.catalogue import SHORTEST_S, single_plans
from stall_then_strike.sim.faults.kinds import FaultPlan
from stall_then_strike.sim.faults.lighter_catalogue import LIGHTER_RECIPES
from stall_then_strike.sim.lighter.clearing.contracts import Plan
from stall_then_strike.sim.lighter.lighter_venue import VenueSettings
from stall_then_strike.sim.lighter_server import LighterExchange
from stall_then_strike.types.errors import BatchFailed, FeedError, VenueError
from stall_then_strike.types.names import NS_PER_S
from tests.lighter.dealer_rig import ETH, OLD_MINIMUMS, config

SPEED = 5.0
ORDER_S = 0.08
"""Real seconds that an order's placing, changing and cancelling take, by and large."""
CALL_S = 0.5
"""Real seconds that a call may take: longer than any delay of the faults, at this speed."""
GROUPS = 10
ASKS_NONCE = "lose_answer_to_send"
"""After this fault the dealer asks for the next nonce."""
TURN_S = 3.0
"""Venue seconds of each fault where one follows the other."""
LOOKS = 4
SETTINGS = VenueSettings(plan=Plan.PREMIUM, verifies_orders=False)
RULES = LineRules(
    connect_s=1.0, answer_s=CALL_S, first_pause_s=0.05, longest_pause_s=0.2, most_tries=None, ping_s=0.2, silent_s=2.0
)


def duration_s(orders: int, speed: float = SPEED) -> float:
    """Venue seconds within which all faults begin and end: about as long as the work takes."""
    return max(SHORTEST_S, orders * ORDER_S * speed)


@dataclass
class Wish:
    """One order that the client wants: placed at one price, changed to another, and perhaps cancelled."""

    number: int
    clients: list[int] = field(default_factory=list)
    """Client order indexes that were used for it, the newest last."""

    @property
    def coi(self) -> int:
        return self.clients[-1]

    @property
    def is_kept(self) -> bool:
        return self.number % 2 == 1

    @property
    def terms(self) -> tuple[int, int]:
        """Price and size in the end, as on the wire."""
        return 100_000 + self.number, 200


@dataclass(frozen=True)
class Outcome:
    """What came of one trial. Good: nothing lost, doubled or left behind."""

    name: str
    orders: int
    strikes: int
    refused: int
    """Reports of the dealer that something was refused; the client sent it again."""
    in_doubt: int
    """Reports that something may be there; the client looked."""
    replaced: int
    """Orders that the venue cancelled by itself."""
    lost: int
    """Wanted orders that are not on the books in the end, or with other terms."""
    doubled: int
    """Orders on the books beside the one that was wanted, and orders that the venue accepted twice."""
    left: int
    """Orders on the books that nobody wants."""
    false_reports: int
    """Reports of accepted or refused that the venue's list of transactions contradicts."""
    seconds: float

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.doubled or self.left or self.false_reports)


@dataclass(frozen=True)
class Room:
    """A trial under way."""

    venue: LighterExchange
    account: int
    client: Client
    socket: LighterWebSocketManager
    start_ns: int


class Client:
    """The careful client."""

    def __init__(self, dealer: LighterDealer, clock: ScaledClock) -> None:
        self.dealer = dealer
        self.clock = clock
        self.reports: dict[int, list[str]] = defaultdict(list)
        """What the dealer said of each created order."""
        self.counts: Counter[str] = Counter()

    async def flush(self) -> None:
        try:
            results: Sequence[Any] = (await self.dealer.flush())["results"]
        except BatchFailed as error:
            results = error.results
        for result in results:
            self.counts[result["status"]] += 1
            if result["kind"] == "NewOrder":
                self.reports[result["client_order_index"]].append(result["status"])

    async def nap(self) -> None:
        await self.clock.sleep_until(self.clock.now_ns() + NS_PER_S // 2)

    async def insist(self, look: Callable[[], Awaitable[bool]]) -> None:
        """Until it holds, or for some looks while there are faults: the end looks at everything again."""
        looks = 0
        while looks < LOOKS or self.is_quiet():
            looks += 1
            with suppress(VenueError):
                if await look():
                    return
            await self.nap()

    async def place(self, wishes: Sequence[Wish]) -> None:
        """Send each, and again what is refused."""
        missing = list(wishes)

        async def look() -> bool:
            nonlocal missing
            async with self.dealer.batch(auto_flush=False):
                for wish in missing:
                    order = await self.dealer.create_limit_order(2_000 + wish.number / 100, 0.01)
                    wish.clients.append(order["client_order_index"])
            await self.flush()
            missing = [wish for wish in missing if self.reports[wish.coi][-1] == "refused"]
            return not missing

        while missing:
            await self.insist(look)
        await self.watch(wishes)

    async def watch(self, wishes: Sequence[Wish]) -> None:
        """Until each order is listed; what the venue cancelled is placed again."""
        waiting = list(wishes)

        async def look() -> bool:
            nonlocal waiting
            listed = {order["client_order_index"] for order in await self.dealer.fetch_open_orders()}
            waiting = [wish for wish in waiting if wish.coi not in listed]
            again = []
            for first in range(0, len(waiting), 20):
                again += await self.gone(waiting[first : first + 20])
            if again:
                self.counts["replaced"] += len(again)
                await self.place(again)
                waiting = [wish for wish in waiting if wish not in again]
            return not waiting

        await self.nap()
        await self.insist(look)

    async def gone(self, wishes: Sequence[Wish]) -> list[Wish]:
        """Those that the venue cancelled by itself, and those that are nowhere when all faults are over."""
        found = await self.dealer.calls.orders_of([wish.coi for wish in wishes])
        status = {order["client_order_index"]: order["status"] for order in found}
        return [
            wish
            for wish in wishes
            if status.get(wish.coi, "").startswith("canceled") or (wish.coi not in status and self.is_quiet())
        ]

    is_quiet: Callable[[], bool] = staticmethod(lambda: True)

    async def change(self, wishes: Sequence[Wish]) -> None:
        """Until each listed order has its new terms."""
        wrong = list(wishes)

        async def look() -> bool:
            nonlocal wrong
            if wrong:
                async with self.dealer.batch(auto_flush=False):
                    for wish in wrong:
                        await self.dealer.update_order(wish.coi, wish.terms[0] / 100, wish.terms[1] / 10_000)
                await self.flush()
                await self.nap()
            wrong = []
            listed = {order["client_order_index"]: order for order in await self.dealer.fetch_open_orders()}
            wrong = [wish for wish in wishes if wish.coi in listed and not has_terms(listed[wish.coi], wish)]
            return not wrong

        await self.insist(look)

    async def cancel(self, wishes: Sequence[Wish]) -> None:
        """Until none is listed. An empty list may be a null one and proves nothing before all faults are over."""
        there = list(wishes)

        async def look() -> bool:
            nonlocal there
            if there:
                async with self.dealer.batch(auto_flush=False):
                    for wish in there:
                        await self.dealer.cancel_order(wish.coi)
                await self.flush()
                await self.nap()
            listed = {order["client_order_index"] for order in await self.dealer.fetch_open_orders()}
            there = [wish for wish in wishes if wish.coi in listed]
            return not there and (bool(listed) or self.is_quiet())

        await self.insist(look)


def has_terms(order: dict[str, Any], wish: Wish) -> bool:
    price, size = int(order["price"].replace(".", "")), int(order["initial_base_amount"].replace(".", ""))
    return (price, size) == wish.terms


@asynccontextmanager
async def _trading(plan: FaultPlan, speed: float) -> AsyncIterator[Room]:
    """An exchange with these faults, and a client that is connected to it."""
    log = logging.getLogger("LighterDealer")
    before = log.level
    log.setLevel(logging.ERROR)
    clock = ScaledClock(speed)
    start_ns = clock.now_ns()
    async with LighterExchange(
        clock=clock, seed=plan.seed, settings=SETTINGS, markets=OLD_MINIMUMS, faults=plan, signing_ns=time.time_ns
    ) as venue:
        key = venue.add_account(1_000_000)
        dealer = LighterDealer(config(venue.base_url, key, max_ws_batch=10_000), clock=clock)
        dealer.calls._limit_s = CALL_S
        socket = LighterWebSocketManager(venue.ws_url, tokens=dealer.tokens, rules=RULES, clock=clock)
        private = [socket.of_account(kind, key.account_index) for kind in ("account_all_orders", "user_stats")]
        for channel in (socket.order_book(ETH), socket.trade(ETH), *private):
            socket.subscribe(channel, lambda message, recv_ns: None)
        client = Client(dealer, clock)
        running = asyncio.create_task(socket.run())
        try:
            yield Room(venue, key.account_index, client, socket, start_ns)
        finally:
            socket.close()
            await asyncio.gather(running, return_exceptions=True)
            await dealer.aclose()
            log.setLevel(before)


async def trial(name: str, plan: FaultPlan, orders: int = 1_000, speed: float = SPEED) -> Outcome:
    """Run one plan of faults."""
    wishes = [Wish(number) for number in range(orders)]
    async with _trading(plan, speed) as room:
        quiet_ns = room.start_ns + int((plan.quiet_from_s or 0) * NS_PER_S)
        room.client.is_quiet = lambda: room.client.clock.now_ns() > quiet_ns + NS_PER_S
        await room.client.insist(lambda: _knows_markets(room.client.dealer))
        await _work(room.client, wishes, room.socket, duration_s(orders, speed))
        await _finish(room.client, wishes, quiet_ns)
    return _judge(name, room, wishes, speed)


async def trial_in_turn(recipes: Sequence[str], orders_each: int, speed: float) -> tuple[Outcome, set[str]]:
    """Each of these faults in turn on one exchange, with a group of orders for each; and which of them struck.

    A fault begins with its group, however slow the machine is, and lasts for `TURN_S` venue seconds. The group goes on
    until the client has done what it can.
    """
    plans = single_plans(SHORTEST_S, LIGHTER_RECIPES)
    wishes: list[Wish] = []
    async with _trading(FaultPlan(), speed) as room:
        client, faults = room.client, room.venue.faults
        await client.dealer.refresh_markets()
        client.is_quiet = lambda: False
        for number, name in enumerate(recipes):
            method = str(LIGHTER_RECIPES[name].get("method", ""))
            alone = method.endswith("sendtx")  # that a batch would not meet
            group = [Wish(len(wishes) + one) for one in range(1 if alone else orders_each)]
            wishes += group
            await client.dealer.send_over(room.socket if method or name == "unseen_order" else None)
            together = [*plans[name].faults, *(plans[ASKS_NONCE].faults if name == "stale_nonce" else ())]
            if method.startswith("jsonapi"):
                del together[1:]  # no cut of the sockets beside it: there are requests on them
            faults.inject(*(replace(fault, from_s=0.0, to_s=TURN_S) for fault in together))
            await _serve(client, group)
            if number % 8 == 7:
                await client.cancel([wish for wish in wishes if not wish.is_kept])
        faults.lift()
        client.is_quiet = lambda: True
        await _finish(client, wishes, client.clock.now_ns())
    return _judge("each in turn", room, wishes, speed), set(faults.struck)


async def _knows_markets(dealer: LighterDealer) -> bool:
    await dealer.refresh_markets()
    return True


async def _work(client: Client, wishes: Sequence[Wish], socket: LighterWebSocketManager, lasts_s: float) -> None:
    start_ns = client.clock.now_ns()
    size = -(-len(wishes) // GROUPS)
    for number in range(GROUPS):
        group = wishes[number * size : (number + 1) * size]
        if not group:
            return
        await client.dealer.send_over(socket if number % 2 else None)
        with suppress(FeedError):
            if number % 2:
                await socket.wait_connected(CALL_S)
        await _serve(client, group)
        await client.clock.sleep_until(start_ns + int((number + 1) * lasts_s / GROUPS * NS_PER_S))


async def _serve(client: Client, group: Sequence[Wish]) -> None:
    """A group from its first order to its last cancel."""
    await client.place(group)
    await client.change(group)
    await client.cancel([wish for wish in group if not wish.is_kept])


async def _finish(client: Client, wishes: Sequence[Wish], quiet_ns: int) -> None:
    """When the faults are over, look once more."""
    await client.clock.sleep_until(quiet_ns + 2 * NS_PER_S)
    await client.dealer.send_over(None)
    kept = [wish for wish in wishes if wish.is_kept]
    await client.cancel([wish for wish in wishes if not wish.is_kept])
    await client.watch(kept)
    await client.change(kept)


def _judge(name: str, room: Room, wishes: Sequence[Wish], speed: float) -> Outcome:
    """Compare with the exchange's books and its list of accepted transactions."""
    venue, client = room.venue, room.client
    venue.settle()
    books = venue.venue.account(room.account)
    live = {order.client_index: (order.price, order.size) for order in books.orders.values() if order.market == ETH}
    accepted: Counter[int] = Counter()
    for record in venue.venue.txs.values():
        info = json.loads(record.info)
        if "ClientOrderIndex" in info:
            accepted[info["ClientOrderIndex"]] += 1
    kept = {wish.coi: wish.terms for wish in wishes if wish.is_kept}
    beside = [coi for wish in wishes for coi in wish.clients[:-1] if coi in live]
    false = sum(
        (reports[-1] == "accepted" and not accepted[coi]) or (reports[-1] == "refused" and bool(accepted[coi]))
        for coi, reports in client.reports.items()
    )
    return Outcome(
        name=name,
        orders=len(wishes),
        strikes=venue.faults.struck.total(),
        refused=client.counts["refused"],
        in_doubt=client.counts["unknown"],
        replaced=client.counts["replaced"],
        lost=sum(live.get(coi) != terms for coi, terms in kept.items()),
        doubled=sum(count - 1 for count in accepted.values()) + len(beside),
        left=len(live.keys() - kept.keys()),
        false_reports=false,
        seconds=(client.clock.now_ns() - room.start_ns) / NS_PER_S / speed,
    )
