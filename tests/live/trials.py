"""Trials against what venues were seen to do, case by case, with figures. ``python -m tests.live.trials`` prints them.

A trial is a run of the daemon on the exchange under a fault of its plan or a rule of its accounts. It notes figures as
it goes, in venue seconds, and raises AssertionError for what must not be; so the table has figures of failures, too.

- a: the answer to a send is lost, and the order's event comes.
- b: lists that lag, while private and public channel are prompt.
- c: a moment's fault at a start, with a position at the venue.
- d: optional fields that are not there.
- e: money in whole yen.
- f: too rarely and too often: doubled and lost events, margin that is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from loguru import logger
from rich import box
from rich.console import Console
from rich.table import Table

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, leaves
from stall_then_strike.sim.bitflyer.ledger import Rounding
from stall_then_strike.sim.bitflyer.tickets import Ticket
from stall_then_strike.sim.bitflyer.venue_account import ChildOrder
from stall_then_strike.sim.faults.catalogue import OPTIONAL
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import NS_PER_S, Side, TimeInForce
from stall_then_strike.types.instrument import Lots
from tests.live.trial_rig import (
    EVENT_NS,
    HELD,
    NEVER_S,
    SETTINGS,
    TTL_S,
    booked,
    first_quotes,
    inject,
    is_booked,
    lift,
    lively,
    quotes_again,
    seconds_since,
    stay,
    still,
    stop_sound,
    two_quotes,
    within,
)
from tests.scenarios.at_work import CANCEL, PLACE, AtWork

K: Final = FaultKind
SEND: Final = "/v1/me/sendchildorder"
EVENTS: Final = "child_order_events"
PRINTS: Final = "lightning_executions_*"
FILLS: Final = "/v1/me/get[ep]*"
"""Executions and positions."""
LAG_S: Final = 40.0
"""How much later lists that lag show something."""
_YEN: Final = 10**8
"""In units of money."""

Figures = dict[str, float | str]


# --- a ----------------------------------------------------------------------------------------------------------------


async def lost_answers(folder: Path, note: Figures, *, are_reports_lost: bool = False, times: int = 5) -> None:
    """Accepted, answered by 502, ORDER event 0.2 s later: both quotes of a strike, again and again."""
    async with still(folder, speed=10.0 if are_reports_lost else 5.0) as work:
        named, asked = list[float](), list[float]()
        if are_reports_lost:
            inject(work, K.SERVER_ERROR, path="/v1/me/get*", http_status=502)
        for _ in range(times):
            before = {order.acceptance_id for order in work.live}
            await work.hit(Fault(kind=K.ERROR_AFTER_EFFECT, path=SEND, count=2), times=2)
            lost = {o.acceptance_id: o for o in work.live if o.acceptance_id not in before}
            assert len(lost) == 2
            names, cancels = await asyncio.gather(_named(work, lost), _cancel_asked(work, lost))
            named += names
            asked += cancels
            note.update({"name": max(named), "cancel late": max(asked), "orders": len(named)})
            await within(work, lambda: not work.live)
            if not are_reports_lost:
                note["quote again"] = max(await quotes_again(work), float(note.get("quote again", 0.0)))
        lift(work)
        assert max(named) <= 1, f"an order was named {max(named):.1f} s after its event"
        assert max(asked) <= 1, f"a cancel went out {max(asked):.1f} s late"
        await stop_sound(work)


async def _named(work: AtWork, lost: Mapping[str, ChildOrder]) -> list[float]:
    """How long after its event each order has its name."""
    found: dict[str, float] = {}

    def look() -> bool:
        for name, order in lost.items():
            is_known = any(known.order_id == name for known in work.core.orders.live())
            if name not in found and is_known:
                found[name] = max(0.0, seconds_since(work, order.registered_ns + EVENT_NS))
        return len(found) == len(lost)

    await within(work, look)
    return [found.get(name, NEVER_S) for name in lost]


async def _cancel_asked(work: AtWork, lost: Mapping[str, ChildOrder]) -> list[float]:
    """How much later than its time each cancel reaches the venue."""
    found: dict[str, float] = {}

    def look() -> bool:
        for name, order in lost.items():
            calls = [call for call in work.calls(CANCEL) if name in call.body]
            if name not in found and calls:
                found[name] = max(0.0, (calls[0].time_ns - order.accepted_ns) / NS_PER_S - TTL_S)
        return len(found) == len(lost)

    await within(work, look)
    return [found.get(name, NEVER_S) for name in lost]


# --- b ----------------------------------------------------------------------------------------------------------------


async def stale_fill(folder: Path, note: Figures, *, path: str = FILLS) -> None:
    """One fill, told by both channels at once, that the lists show so much later."""
    async with still(folder, speed=15.0) as work:
        await two_quotes(work)
        inject(work, K.STALE_LIST, path=path, seconds=LAG_S)
        await work.seconds(1)
        await two_quotes(work)
        work.hit_quote(100_000)
        hit_ns = work.room.clock.now_ns()
        note["book"] = await booked(work)
        await stay(work, LAG_S, lambda: _taken_back(work))
        note["quote again"] = await quotes_again(work)
        await stay(work, 2 * LAG_S, lambda: _taken_back(work))
        note["lasted"] = seconds_since(work, hit_ns)
        lift(work)
        assert note["book"] <= 1
        assert note["quote again"] <= 20, "it does not quote although the lists have caught up"
        await stop_sound(work)


def _taken_back(work: AtWork) -> str:
    return "" if is_booked(work) else "the fill was taken back"


def _forgotten(work: AtWork, since_ns: dict[str, int]) -> str:
    """Whether an order rests that we have not known of for a second: longer than a cancel is on its way."""
    known = {order.order_id for order in work.core.orders.live()}
    lost = {order.acceptance_id for order in work.resting} - known
    for name in since_ns.keys() - lost:
        del since_ns[name]
    for name in lost:
        since_ns.setdefault(name, work.room.clock.now_ns())
    is_long = any(seconds_since(work, at_ns) > 1 for at_ns in since_ns.values())
    return "an order that rests is believed to have ended" if is_long else ""


async def unseen_fill(folder: Path, note: Figures) -> None:
    """A fill that only its event tells of: the lists are silent for long, and the public print is lost.

    It may be taken for one that never was; but once it is listed, it counts, and what is exported sums to the position.
    """
    async with still(folder, speed=15.0) as work:
        await two_quotes(work)
        inject(work, K.STALE_LIST, path=FILLS, seconds=LAG_S)
        await work.arm(Fault(kind=K.LOSE_FRAME, channel=PRINTS, to_s=5))
        await two_quotes(work)
        work.hit_quote(100_000)
        note["book"] = await booked(work)
        await stay(work, LAG_S + 30)
        assert is_booked(work), "a fill that is listed does not count"
        note["quote again"] = await quotes_again(work)
        lift(work)
        await stop_sound(work, may_take_back=True)


async def stale_orders(folder: Path, note: Figures) -> None:
    """Orders are listed so much later: none that lives is believed to have ended."""
    async with still(folder, speed=15.0, strategy={**HELD, "ttl_ms": 30_000}) as work:
        inject(work, K.STALE_LIST, path="/v1/me/getchildorders", seconds=LAG_S)
        await two_quotes(work)
        since_ns: dict[str, int] = {}
        await stay(work, 90, lambda: _forgotten(work, since_ns))
        await two_quotes(work)
        work.hit_quote(100_000)
        note["book"] = await booked(work)
        note["quote again"] = await quotes_again(work)
        await stop_sound(work)


async def vanishing_fill(folder: Path, note: Figures) -> None:
    """A fill is listed, is missing from the next answer, and is there again in the one after; three times."""
    async with still(folder, speed=15.0) as work:
        for _ in range(3):
            await two_quotes(work)
            work.hit_quote(100_000)
            note["book"] = await booked(work)
            inject(work, K.STALE_LIST, path=FILLS, seconds=45, skip=2, count=2)
            await stay(work, 35, lambda: _taken_back(work))
        note["quote again"] = await quotes_again(work)
        assert note["quote again"] <= 20
        await stop_sound(work)


async def stale_account(folder: Path, note: Figures, *, chance: float = 1.0) -> None:
    """Executions lag by 45 s, positions by 30 s, for two minutes of trading; or now and then only."""
    async with lively(folder) as work:
        inject(work, K.STALE_LIST, path="/v1/me/getexecutions", seconds=45, chance=chance)
        inject(work, K.STALE_LIST, path="/v1/me/getpositions", seconds=30, chance=chance)
        placed = work.core.record.tally.placed
        await stay(work, 120)
        note["strikes"] = (work.core.record.tally.placed - placed) / 2
        lift(work)
        note["quote again"] = await quotes_again(work)
        note["fills"] = len(work.room.venue.ledger().fills)
        assert note["quote again"] <= 20
        assert note["fills"] >= 3, "nothing was tried"
        await stop_sound(work)


# --- c ----------------------------------------------------------------------------------------------------------------


async def moment_at_start(folder: Path, note: Figures, *faults: Fault) -> None:
    """The first start meets a fault and a position; whatever it does, nothing is closed, and the next one trades."""
    async with still(folder, begin=False) as work:
        market = Ticket(side=Side.BUY, price=None, size=Lots(200_000), time_in_force=TimeInForce.GTC, minutes=1)
        venue = work.room.venue
        venue.desk.place(venue.market.now_ns, venue.accounts["main"], market)
        await work.until("position", lambda: work.position == 200_000)
        work.room.exchange.faults.inject(*faults)
        code = await first_quotes(work)
        note["first start"] = "trades" if code is None else f"exit {code}"
        assert all(work.room.exchange.faults.struck[fault.label] for fault in faults), "the fault did not strike"
        assert work.position == 200_000, "the position was closed"
        assert code in {None, EXIT_FAILED}, f"exit {code} of what may pass by itself"
        if code is not None:
            start_ns = work.room.clock.now_ns()
            code = await first_quotes(work)
            note["next start"] = "trades" if code is None else f"exit {code}"
            note["quote again"] = seconds_since(work, start_ns)
            assert code is None, f"the next start does not trade: exit {code}"
        assert work.position == 200_000
        await stop_sound(work, is_all_ours=False)


async def one_429(folder: Path, note: Figures) -> None:
    """Another program on the address has used up its limit: one call is refused while we quote."""
    async with still(folder) as work:
        await two_quotes(work)
        await work.hit(Fault(kind=K.OVER_LIMIT, path="/v1/me/*", seconds=5, count=1))
        note["quote again"] = await quotes_again(work)
        assert work.core.halted is None, f"halted for {work.core.halted.label}"
        assert note["quote again"] <= 60
        await stop_sound(work)


# --- d ----------------------------------------------------------------------------------------------------------------


UNTOLD: Final[Mapping[str, tuple[str, ...]]] = {
    "ORDER": ("child_order_id", "child_order_type", "expire_date"),
    "EXECUTION": ("child_order_id", "commission", "sfd", "outstanding_size"),
    "CANCEL": ("child_order_id", "event_date"),
}
"""Fields of each event that the truth can do without."""


async def bare(
    folder: Path,
    note: Figures,
    *,
    answers: Mapping[str, tuple[str, ...]] = OPTIONAL,
    events: Mapping[str, tuple[str, ...]] = UNTOLD,
    blank: bool = False,
) -> None:
    """Whatever the truth can do without is missing, or null, in answers and events, for a minute of trading."""
    async with lively(folder, begin=False) as work:
        for path, fields in answers.items():
            inject(work, K.STRIP_ANSWER, path=path, missing=fields, blank=blank)
        for event, fields in events.items():
            inject(work, K.LOSE_FIELDS, event=event, missing=fields, blank=blank)
        code = await first_quotes(work)
        assert code is None, f"no start: exit {code}"
        await stay(work, 60)
        note["quote again"] = await quotes_again(work)
        note["fills"] = len(work.room.venue.ledger().fills)
        failed = work.facts("report_failed")
        note["failed reports"] = len(failed)
        account = work.core.account
        assert not failed, failed[0].detail
        assert account is not None
        assert account.reported_ns is not None
        note["last report"] = seconds_since(work, account.reported_ns)
        assert note["last report"] <= 15
        await stop_sound(work)


# --- e ----------------------------------------------------------------------------------------------------------------


async def whole_yen(folder: Path, note: Figures, *, settled: Rounding | None = None) -> None:
    """Answers, or books as well, are in whole yen, in four minutes of trading: no lasting doubt, a true figure."""
    settings = replace(SETTINGS, shown_yen=Rounding.DOWN, settled_yen=settled)
    drifts: list[float] = []
    async with lively(folder, speed=15.0, settings=settings, account={}) as work:
        for _ in range(24):
            await stay(work, 10)
            await booked(work)
            drifts.append(_drift(work))
        note["quote again"] = await quotes_again(work)
        asked = [fact for fact in work.facts("ask") if "collateral" in fact.detail]
        note["doubts"] = len(asked)
        account = work.core.account
        assert account is not None
        assert account.reported_ns is not None
        reported_ns = account.reported_ns
        assert await work.stop() == EXIT_DONE
        ledger = work.room.venue.ledger()
        note["fills"] = len(ledger.fills)
        note["rounded away"] = ledger.rounded / _YEN
        note["drift, worst"], note["at the end"] = max(drifts, key=abs), _drift(work)
        assert work.core.inventory.position == ledger.position
        assert len(ledger.fills) > 40, "nothing was tried"
        assert len(asked) <= 4, f"{len(asked)} reports in doubt of the collateral in four minutes"
        assert max(map(abs, drifts)) <= 15, f"the day's figure is {max(drifts, key=abs):+.2f} JPY off the account's"
        # Each fill that the last report did not yet cover is off by less than one yen.
        bound = 5 + sum(fill.time_ns > reported_ns - 5 * NS_PER_S for fill in ledger.fills)
        assert abs(_drift(work)) <= bound, f"the day's figure ends {_drift(work):+.2f} JPY off the account's"


def _drift(work: AtWork) -> float:
    """By how many yen our cash is above the account's."""
    ledger, held = work.room.venue.ledger(), work.core.inventory
    flow = -sum(fill.side.sign * fill.price * fill.size for fill in ledger.fills)
    return (held.cash - flow - ledger.funding - ledger.rounded) / _YEN


# --- f ----------------------------------------------------------------------------------------------------------------


async def doubled_events(folder: Path, note: Figures) -> None:
    """Events of four fills come twice; then a fill that nobody tells is found as soon as without them."""
    took = {}
    for name, doubles in (("alone", 0), ("after doubles", 4)):
        place = folder / name
        place.mkdir()
        async with still(place, account={"reconcile_sec": Decimal(120)}) as work:
            for _ in range(doubles):
                await two_quotes(work)
                await work.arm(Fault(kind=K.DUPLICATE_FRAME, channel=EVENTS, name="doubled"))
                await two_quotes(work)
                work.hit_quote(100_000)
                await work.seconds(2)
                lift(work)
            await two_quotes(work)
            await work.arm(
                Fault(kind=K.LOSE_FRAME, channel=EVENTS, event="EXECUTION", count=1),
                Fault(kind=K.LOSE_FRAME, name="mute", channel=PRINTS, to_s=3),
            )
            await two_quotes(work)
            work.hit_quote(100_000)
            took[name] = await booked(work)
            note["book " + name] = took[name]
            note["quote again"] = await quotes_again(work)
            await stop_sound(work)
    slower_s = took["after doubles"] - took["alone"]
    assert slower_s <= 2, f"found {slower_s:.1f} s later than without doubled events"


async def lost_execution(folder: Path, note: Figures, *, size: int = 100_000) -> None:
    """The EXECUTION event is lost, and the public print names our order: long before the account is asked again."""
    async with still(folder, account={"reconcile_sec": Decimal(120)}) as work:
        await two_quotes(work)
        await work.arm(Fault(kind=K.LOSE_FRAME, channel=EVENTS, event="EXECUTION", count=1))
        await two_quotes(work)
        work.hit_quote(size)
        note["book"] = await booked(work)
        note["quote again"] = await quotes_again(work)
        assert work.room.exchange.faults.struck["lose_frame"] == 1
        assert note["book"] <= 3, f"booked after {note['book']:.1f} s"  # 0.9 to 1.1 s
        await stop_sound(work)


async def no_margin(folder: Path, note: Figures, *, kind: FaultKind = K.NO_MARGIN) -> None:
    """Orders that would open are refused for 20 s of trading; what closes is not."""
    async with lively(folder) as work:
        await work.until("position", lambda: work.position)
        inject(work, kind, to_s=20)
        await stay(work, 20)
        struck = work.room.exchange.faults.struck[kind.value]
        note["refused"] = struck
        note["quote again"] = await quotes_again(work)
        assert struck, "nothing was refused"
        assert struck <= 10, f"{struck} orders sent in 20 s that could not but be refused"
        assert note["quote again"] <= 120
        await stop_sound(work)


async def too_little_collateral(folder: Path, note: Figures) -> None:
    """What is there carries one quote and not two: it goes on with what it may, or says why not, and never halts."""
    settings = replace(SETTINGS, collateral_jpy=Decimal(8_000))
    async with still(folder, settings=settings) as work:
        await stay(work, 60)
        refused = [call for call in work.calls(PLACE) if '"status":-205' in call.answer.replace(" ", "")]
        note["refused"] = len(refused)
        assert len(refused) <= 20, f"{len(refused)} refusals in a minute"
        await stop_sound(work)


# --- all of them ------------------------------------------------------------------------------------------------------

Run = Callable[[Path, Figures], Awaitable[None]]

_CLOCK: Final = Fault(kind=K.WRONG_DATE, path="/v1/*", seconds=20, count=5)
TRIALS: Final[Mapping[str, Run]] = {
    "a lost answers": lost_answers,
    "a lost answers, reports fail": partial(lost_answers, are_reports_lost=True, times=1),
    "b fill listed after 40 s": stale_fill,
    "b fill listed after 40 s, executions": partial(stale_fill, path="/v1/me/getexecutions"),
    "b fill listed after 40 s, positions": partial(stale_fill, path="/v1/me/getpositions"),
    "b all lists lag by 40 s": partial(stale_fill, path="/v1/me/get*"),
    "b fill listed after 40 s, no public print": unseen_fill,
    "b orders listed after 40 s": stale_orders,
    "b fill vanishes for an answer": vanishing_fill,
    "b lists lag by 30 and 45 s, trading": stale_account,
    "b lists flicker, trading": partial(stale_account, chance=0.5),
    "c clock 20 s off at the start": lambda folder, note: moment_at_start(folder, note, _CLOCK),
    "c 500 at the login over REST": lambda folder, note: moment_at_start(
        folder, note, Fault(kind=K.SERVER_ERROR, path="/v1/me/getpermissions", count=1)
    ),
    "c 503 at every first call": lambda folder, note: moment_at_start(
        folder, note, Fault(kind=K.SERVER_ERROR, path="/v1/*", http_status=503, count=1)
    ),
    "c internal error at the socket's login": lambda folder, note: moment_at_start(
        folder, note, Fault(kind=K.FAIL_AUTH, count=1)
    ),
    "c 429 at the start": lambda folder, note: moment_at_start(
        folder, note, Fault(kind=K.OVER_LIMIT, path="/v1/me/*", seconds=5, count=1)
    ),
    "c 429 while it trades": one_429,
    "d executions without commission": partial(bare, answers={"/v1/me/getexecutions": ("commission",)}, events={}),
    "d events without optional fields": partial(bare, answers={}),
    "d all optional fields missing": bare,
    "d all optional fields null": partial(bare, blank=True),
    "e whole yen shown": whole_yen,
    "e whole yen settled, down": partial(whole_yen, settled=Rounding.DOWN),
    "e whole yen settled, to zero": partial(whole_yen, settled=Rounding.TO_ZERO),
    "f doubled events": doubled_events,
    "f lost EXECUTION, public print": lost_execution,
    "f lost EXECUTION of a part": partial(lost_execution, size=40_000),
    "f no margin": no_margin,
    "f no margin, ORDER_FAILED": partial(no_margin, kind=K.FAIL_MARGIN),
    "f collateral for one quote": too_little_collateral,
}
"""By name, the case's letter first."""


@dataclass(slots=True)
class Result:
    """What came of a trial."""

    name: str
    figures: Figures
    wrong: str = ""


async def _tried(name: str, folder: Path) -> Result:
    result = Result(name, {})
    try:
        async with asyncio.timeout(120):
            await TRIALS[name](folder, result.figures)
    except TimeoutError:
        result.wrong = "not over after two real minutes"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this trial's result
        result.wrong = "; ".join(str(cause) or repr(cause) for cause in leaves(error))
    return result


def table(results: list[Result]) -> Table:
    """A row for each trial."""
    drawn = Table(box=box.SIMPLE_HEAD, title="Trials, in venue seconds", title_justify="left", padding=(0, 1, 0, 0))
    drawn.add_column("trial", min_width=20, vertical="top")
    columns = ("name", "cancel late", "book", "quote again")
    for head in columns:
        drawn.add_column(head, justify="right")
    drawn.add_column("more")
    drawn.add_column("result")
    for result in results:
        shown = {
            n: f if isinstance(f, str) else f"{f:.0f}" if f == int(f) else f"{f:.2f}" for n, f in result.figures.items()
        }
        more = ", ".join(f"{name} {figure}" for name, figure in shown.items() if name not in columns)
        wrong = result.wrong.partition("\n")[0]
        drawn.add_row(
            result.name, *(shown.get(name, "-") for name in columns), more, f"WRONG: {wrong}" if wrong else "right"
        )
    return drawn


def main() -> int:
    """Try them one after the other; 1 if anything did not hold."""
    flags = argparse.ArgumentParser(prog="python -m tests.live.trials", description="The daemon in trials, as a table.")
    flags.add_argument("--only", metavar="GLOB", default="*", help="these trials (default: all), such as 'b *'")
    args = flags.parse_args()
    folder = Path(mkdtemp(prefix="trials-"))
    warnings.filterwarnings("ignore", message="The 'auth' parameter is deprecated", category=DeprecationWarning)
    results: list[Result] = []
    for number, name in enumerate(name for name in TRIALS if fnmatchcase(name, args.only)):
        place = folder / str(number)
        place.mkdir()
        logger.remove()
        logger.add(place / "runtime.log", level="DEBUG", format="{time:HH:mm:ss.SSS} {level:8} {message}")
        with asyncio.Runner(loop_factory=cli.loop_factory()) as runner:
            results.append(runner.run(_tried(name, place)))
        sys.stderr.write(f"{name}: {results[-1].wrong or 'right'}\n")
    Console(width=180).print(table(results))
    bad = [result for result in results if result.wrong]
    sys.stdout.write(f"{len(results)} trials, {len(bad)} wrong; {folder}\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
