"""Group C: the daemon dies or is stopped at every bad moment, and starts again on what it left.

`AtWork.kill` ends a run as a killed process does, with nothing said to the venue. What else dies with a process, CSV
rows on their way, is in `tests/e2e/test_run_live.py`.
"""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_HALTED
from stall_then_strike.infra.journal.writer import journal_path
from stall_then_strike.sim.bitflyer.tickets import Ticket
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import OrderId, Reason, Side, TimeInForce
from stall_then_strike.types.errors import JournalError
from stall_then_strike.types.instrument import Lots, Ticks
from tests.scenarios.at_work import CANCEL, PATIENT, PLACE, QUICK, STILL, AtWork, at_work
from tests.signing import SIGNED

pytestmark = SIGNED
K = FaultKind
SEND = "/v1/me/sendchildorder"
NO_STRIKES = {"strategy": {"min_spread_tick": 100_000_000, "max_reverse_ticks": 100_000_000}}
JUST_BEFORE_MIDNIGHT_NS = 1_790_002_740 * 10**9
"""2026-09-21, a minute before midnight in Tokyo."""


def manual(work: AtWork, side: Side, price: int, lots: int = 100_000) -> OrderId:
    """The operator sends an order by hand, good for days."""
    venue = work.room.venue
    ticket = Ticket(side=side, price=Ticks(price), size=Lots(lots), time_in_force=TimeInForce.GTC, minutes=43_200)
    placed = venue.desk.place(venue.market.now_ns, venue.accounts["main"], ticket)
    assert isinstance(placed, str), placed
    return placed


async def with_a_position(work: AtWork) -> int:
    """Have one quote filled; the position."""
    await work.until("quote", lambda: work.resting)
    work.hit_quote(100_000)
    await work.until("position", lambda: work.core.inventory.position)
    return work.position


async def test_c1_killed_with_two_live_orders(tmp_path: Path) -> None:
    """C1: two quotes rest when the process dies: the next one cancels them before it quotes."""
    async with at_work(tmp_path, **STILL) as work:
        await work.until("both quotes", lambda: len(work.resting) == 2)
        left = {order.acceptance_id for order in work.resting}
        await work.kill()
        assert {order.acceptance_id for order in work.resting} == left
        sent = len(work.calls(PLACE))
        await work.start()
        await work.until("new quotes", lambda: len(work.calls(PLACE)) > sent)
        cancelled = {name for name in left if any(name in call.body for call in work.calls(CANCEL))}
        assert cancelled == left
        assert not left & {order.acceptance_id for order in work.live}
        await work.stop_and_check()


async def test_c2_killed_between_send_and_answer(tmp_path: Path) -> None:
    """C2: the venue has two orders whose names never reached us: they are found by their terms, and cancelled."""
    async with at_work(tmp_path, begin=False, **STILL) as work:
        work.room.exchange.faults.inject(Fault(kind=K.DELAY_ANSWER, path=SEND, seconds=8, count=2))
        await work.start()
        await work.until("both quotes", lambda: len(work.resting) == 2)
        left = {order.acceptance_id for order in work.resting}
        await work.kill()
        assert {order.order_id for order in work.orders() if order.is_live} == {None}
        await work.start()
        await work.until("cancels", lambda: not left & {order.acceptance_id for order in work.live})
        await work.stop_and_check()


async def test_c2_killed_between_send_and_answer_of_an_order_that_fills_meanwhile(tmp_path: Path) -> None:
    """C2: nobody runs while an order without a name is filled: the fill is ours, not a stranger's."""
    async with at_work(tmp_path, begin=False, **STILL) as work:
        work.room.exchange.faults.inject(Fault(kind=K.DELAY_ANSWER, path=SEND, seconds=8, count=2))
        await work.start()
        await work.until("both quotes", lambda: len(work.resting) == 2)
        await work.kill()
        order = work.hit_quote(100_000)
        await work.start()
        await work.until("fill", lambda: work.fills_of(order))
        await work.stop_and_check()
        assert {row["tag"] for row in work.room.rows("trades")} <= {"stall", "close"}


async def test_c4_open_position_is_kept_over_a_restart(tmp_path: Path) -> None:
    """C4: a restart with what it remembers does not flatten, and knows what the position cost."""
    async with at_work(tmp_path, **STILL) as work:
        position = await with_a_position(work)
        await work.stop_and_check()
        cost = work.core.inventory.basis
        sent = len(work.calls(PLACE))
        await work.start(**NO_STRIKES)
        await work.seconds(10)
        assert (work.core.inventory.position, work.core.inventory.basis) == (position, cost)
        await work.stop_and_check()
        assert (work.position, len(work.calls(PLACE))) == (position, sent)


async def test_c5_open_position_without_memory_is_taken_over(tmp_path: Path) -> None:
    """C5: the journal is gone: the venue's position is ours at its cost, told of, and not flattened."""
    async with at_work(tmp_path, **STILL) as work:
        position = await with_a_position(work)
        assert await work.stop() == EXIT_DONE
        shutil.rmtree(work.room.cfg.journal.dir)
        sent = len(work.calls(PLACE))
        await work.start(**NO_STRIKES)
        assert await work.stop() == EXIT_DONE
        assert work.core.inventory.position == position == work.position
        assert len(work.facts("take_over")) == 1
        assert len(work.calls(PLACE)) == sent


async def test_c6_all_of_ours_are_found_among_many_orders(tmp_path: Path) -> None:
    """C6: 120 orders of the operator's and a history of our own: both live ones of ours are cancelled, no other."""
    async with at_work(tmp_path, **STILL) as work:
        for _ in range(8):
            await with_a_position(work)
        theirs = {manual(work, Side.BUY, 9_000_000 + n) for n in range(120)}
        await work.until("both quotes", lambda: len(work.resting) == 122)
        await work.kill()
        ours = {order.acceptance_id for order in work.live} - theirs
        assert len(ours) == 2
        await work.start(**NO_STRIKES)
        await work.until("cancels", lambda: {order.acceptance_id for order in work.live} == theirs)
        assert await work.stop() == EXIT_DONE
        assert {order.acceptance_id for order in work.live} == theirs
        assert not any(name in call.body for call in work.calls(CANCEL) for name in theirs)


async def test_c7_two_restarts_make_nothing_up(tmp_path: Path) -> None:
    """C7: starting twice without trading leaves orders, fills and position as they were."""
    async with at_work(tmp_path) as work:

        def known() -> object:
            orders = [(o.client_order_id, o.order_id, o.state, o.executed, o.is_live) for o in work.orders()]
            return orders, work.room.journal()[0], work.room.rows("trades"), work.core.inventory.position

        await work.until("fills", lambda: len(work.room.venue.ledger().fills) > 5)
        await work.stop_and_check()
        before = known()
        for _ in range(2):
            await work.start(**NO_STRIKES)
            await work.stop_and_check()
        assert known() == before


async def test_c8_order_of_the_operator_is_never_cancelled(tmp_path: Path) -> None:
    """C8: an order made by hand stays through start, trading, a kill, a restart and a stop."""
    async with at_work(tmp_path, begin=False) as work:
        name = manual(work, Side.BUY, 9_000_000)
        await work.start()
        await work.new_strikes()
        await work.kill()
        await work.start()
        await work.new_strikes()
        assert await work.stop() == EXIT_DONE
        await work.seconds(1)
        assert [order.acceptance_id for order in work.live] == [name]
        assert not any(name in call.body for call in work.calls(CANCEL))
        assert not work.calls("POST /v1/me/cancelallchildorders")


async def test_c9_halt_outlives_restart_and_new_settings(tmp_path: Path) -> None:
    """C9: once the kill switch has tripped, neither a restart nor a looser limit trades again."""
    async with at_work(tmp_path, risk={"daily_pnl_jpy": -1}) as work:
        assert await work.ended() == EXIT_HALTED
        sent = len(work.calls(PLACE))
        for loose in (-1, -1_000_000):
            work.room.cfg = work.room.cfg.model_copy(
                update={"risk": work.room.cfg.risk.model_copy(update={"daily_pnl_jpy": loose})}
            )
            assert await work.room.run() == EXIT_HALTED
            assert work.core.halted is Reason.KILL_PNL
        assert len(work.calls(PLACE)) == sent
        await work.check()


async def test_c10_restart_over_midnight_in_tokyo(tmp_path: Path) -> None:
    """C10: the day rolls while nothing runs: position and cost stay, the day's result begins at zero."""
    async with at_work(tmp_path, start_ns=JUST_BEFORE_MIDNIGHT_NS, **STILL) as work:
        position = await with_a_position(work)
        await work.stop_and_check()
        first = work.room.journal()[1]
        await work.seconds((JUST_BEFORE_MIDNIGHT_NS - work.room.clock.now_ns()) / 1e9 + 61)
        await work.start(**NO_STRIKES)
        await work.stop_and_check()
        second = work.room.journal()[1]
        assert (first.day, second.day) == ("2026-09-21", "2026-09-22")
        assert second.inventory.position == first.inventory.position == position
        assert len(work.facts("day")) == 1
        assert work.core.inventory.realised_today == 0


async def test_c11_second_instance_is_refused(tmp_path: Path) -> None:
    """C11: a second run on the journal, and one on another journal of the same account, are refused by name."""
    async with at_work(tmp_path) as work:
        calls = len(work.calls(PLACE))
        with pytest.raises(JournalError, match="in use by"):
            await work.room.run()
        other = {"dir": str(tmp_path / "another")}
        work.room.cfg = work.room.cfg.model_copy(update={"journal": work.room.cfg.journal.model_copy(update=other)})
        with pytest.raises(JournalError, match="the account is traded by"):
            await work.room.run()
        assert calls <= len(work.calls(PLACE))
        work.room.cfg = work.run._cfg
        await work.stop_and_check()


@pytest.mark.parametrize("damage", ["truncated", "garbage"])
async def test_c12_damaged_journal_is_refused_and_left_alone(damage: str, tmp_path: Path) -> None:
    """C12: what is remembered cannot be read: the run ends by name before anything is sent, the file stays as it is."""
    async with at_work(tmp_path) as work:
        await work.until("history", lambda: len(work.room.venue.ledger().fills) > 5)
        await work.stop_and_check()
        path = journal_path(work.room.cfg.journal.dir, work.room.cfg.exchange.product_code)
        content = path.read_bytes()
        bad = content[: len(content) // 2] if damage == "truncated" else b"not a journal" * 500
        path.write_bytes(bad)
        asked = len(work.room.exchange.audit.records())
        with pytest.raises(JournalError, match=path.name):
            await work.room.run()
        assert path.read_bytes() == bad
        assert len(work.room.exchange.audit.records()) == asked


@pytest.mark.parametrize("is_answered", [True, False])
async def test_c13_stopped_while_a_close_is_on_its_way(*, is_answered: bool, tmp_path: Path) -> None:
    """C13: SIGTERM finds a close under way, with or without its answer: its fill counts, and no other close is sent."""
    ten = {"timeout_sec": Decimal("0.5")}  # seconds of the exchange's time: positions may differ for twenty
    async with at_work(tmp_path, **PATIENT if is_answered else {"pybotters": ten}, **QUICK) as work:
        if not is_answered:
            work.room.exchange.faults.inject(Fault(kind=K.LOSE_ANSWER, path=SEND, chance=0.3, count=6))
        await work.until("close", lambda: any('"MARKET"' in call.body for call in work.calls(PLACE)))
        code = await work.stop()
        await work.seconds(1)
        assert not work.live
        assert code == EXIT_DONE
        await work.check()
