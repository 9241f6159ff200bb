"""How far the book is believed, how old its best is, and that we never see ourselves in it."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.infra.bitflyer.store import Board
from stall_then_strike.infra.orderbook_view import GONE_AFTER_SNAPSHOTS, OrderBookView, OwnQuote
from stall_then_strike.types.dto import NS_PER_MS, BoardSnapshot, BookStatus, ClientOrderId, Side
from stall_then_strike.types.instrument import Lots, Ticks, fx_btc_jpy
from tests.shared_data import Recorded, real_tape

OK, UNKNOWN, SUSPECT = BookStatus.OK, BookStatus.UNKNOWN, BookStatus.SUSPECT
LOTS = 100_000_000
A, B = ClientOrderId("a"), ClientOrderId("b")


def mid_of(board: Board) -> Ticks:
    """As the venue tells it: rounded down, zero unless both sides are there."""
    return Ticks((board.best_bid + board.best_ask) // 2 if board.best_bid and board.best_ask else 0)


class Desk:
    """A view on a board, fed with short hand: prices to sizes, one millisecond a message."""

    def __init__(self) -> None:
        self.board = Board(fx_btc_jpy())
        self.view = OrderBookView(self.board, fx_btc_jpy())
        self.now_ns = 0

    def take(
        self,
        bids: dict[float, float] | None = None,
        asks: dict[float, float] | None = None,
        *,
        snapshot: bool = False,
        mid: int | None = None,
        ms: int = 1,
    ) -> BoardSnapshot:
        """Apply a message, with the right mid unless one is given."""
        self.now_ns += ms * NS_PER_MS
        wire: dict[str, Any] = {
            "mid_price": 0,
            "bids": [{"price": price, "size": size} for price, size in (bids or {}).items()],
            "asks": [{"price": price, "size": size} for price, size in (asks or {}).items()],
        }
        (self.board.apply_snapshot if snapshot else self.board.apply_delta)(wire)
        self.view.on_board(mid_of(self.board) if mid is None else mid, snapshot, self.now_ns)
        return self.view.snapshot(self.now_ns)

    def own(self, *quotes: tuple[Side, int, float]) -> None:
        self.view.set_own(
            {
                ClientOrderId(str(number)): OwnQuote(side=side, price=Ticks(price), remaining=Lots(round(size * LOTS)))
                for number, (side, price, size) in enumerate(quotes)
            }
        )


@pytest.fixture
def desk() -> Desk:
    """100 x 0.5 bid, 110 x 0.5 offered."""
    desk = Desk()
    desk.take({100: 0.5, 99: 1.0}, {110: 0.5, 111: 1.0}, snapshot=True)
    return desk


def best(shot: BoardSnapshot) -> tuple[int, float, int, float]:
    return shot.best_bid_price, shot.best_bid_size / LOTS, shot.best_ask_price, shot.best_ask_size / LOTS


# --- Belief ----------------------------------------------------------------------------------------------------------


def test_book_is_unknown_until_the_first_snapshot_and_after_a_disconnect() -> None:
    desk = Desk()
    assert desk.view.snapshot(5) == BoardSnapshot(
        ts_ns=5,
        best_bid_price=Ticks(0),
        best_bid_size=Lots(0),
        best_ask_price=Ticks(0),
        best_ask_size=Lots(0),
        best_since_ns=0,
        status=UNKNOWN,
    )
    first = desk.take({100: 0.5}, {110: 0.5}, snapshot=True)
    assert (first.status, first.best_since_ns) == (OK, desk.now_ns)
    desk.view.on_disconnect(desk.now_ns + 7)
    gone = desk.view.snapshot(desk.now_ns + 9)
    assert (gone.status, best(gone)) == (UNKNOWN, (0, 0, 0, 0))
    again = desk.take({100: 0.5}, {110: 0.5}, snapshot=True, ms=500)
    assert (again.status, again.best_age_ms) == (OK, 0), "the same best, but nobody saw it stand"


@pytest.mark.parametrize(("mid", "status"), [(105, OK), (104, SUSPECT), (106, SUSPECT), (0, SUSPECT)])
def test_mid_of_message_must_be_the_middle_rounded_down(desk: Desk, mid: int, status: BookStatus) -> None:
    desk.take({100: 0.4}, mid=105)
    assert desk.take({}, {110: 0.0}, mid=105).status is OK, "(100 + 111) // 2"
    assert desk.take({}, {110: 0.3}, mid=mid).status is status


def test_a_venue_without_mid_prices_is_believed_unless_the_book_is_crossed_or_one_sided(desk: Desk) -> None:
    for price, status in ((108, OK), (110, SUSPECT)):
        desk.board.apply_delta({"mid_price": 0, "bids": [{"price": price, "size": 1.0}], "asks": []})
        desk.view.on_board(None, False, desk.now_ns)
        assert desk.view.snapshot(desk.now_ns).status is status


def test_suspicion_ends_with_a_message_that_agrees_or_a_snapshot(desk: Desk) -> None:
    assert desk.take({98: 1}, mid=120).status is SUSPECT
    assert desk.take({97: 1}, mid=120).status is SUSPECT
    assert desk.take({97: 2}).status is OK
    assert desk.take({97: 3}, mid=120).status is SUSPECT
    assert desk.take({115: 1}, {125: 1}, snapshot=True, mid=120).status is OK
    assert (desk.view.checked, desk.view.agreed) == (6, 3)


def test_suspicion_alone_does_not_make_the_best_younger(desk: Desk) -> None:
    since = desk.view.snapshot(0).best_since_ns
    desk.take({98: 1}, mid=120)
    assert desk.take({98: 2}, ms=400).best_since_ns == since


@pytest.mark.parametrize(
    ("bids", "asks", "mid"),
    [({110: 1}, {}, 110), ({112: 1}, {}, 111), ({100: 0, 99: 0}, {}, 110), ({}, {110: 0, 111: 0}, 100)],
    ids=["locked", "crossed", "no bids", "no asks"],
)
def test_impossible_book_is_suspect_whatever_its_mid(desk: Desk, bids: Any, asks: Any, mid: int) -> None:
    assert desk.take(bids, asks, mid=mid).status is SUSPECT


def test_book_of_nobody_but_us_is_suspect() -> None:
    desk = Desk()
    desk.take({100: 0.5}, {110: 0.5}, snapshot=True)
    desk.own((Side.SELL, 108, 0.1))
    desk.take({}, {108: 0.1})
    shot = desk.take({}, {110: 0.0})
    assert (shot.status, best(shot)) == (SUSPECT, (100, 0.5, 0, 0))


# --- Age -------------------------------------------------------------------------------------------------------------


def test_age_is_that_of_the_best_prices_not_of_their_sizes(desk: Desk) -> None:
    since = desk.view.snapshot(0).best_since_ns
    assert desk.take({100: 0.1}, {110: 2}, ms=100).best_since_ns == since
    assert desk.take({98: 0.1}, {111: 0}, ms=100).best_age_ms == 200
    assert desk.take({101: 0.1}, ms=100).best_age_ms == 0
    assert desk.take({101: 0.0}, ms=100).best_age_ms == 0
    assert desk.view.snapshot(desk.now_ns + 250 * NS_PER_MS).best_age_ms == 250, "also between messages"


def feed(view: OrderBookView, line: Recorded) -> BoardSnapshot | None:
    """Apply a tape's line as the feed would."""
    is_snapshot = "snapshot" in line.channel
    if "lightning_board" not in line.channel or (view.status is UNKNOWN and not is_snapshot):
        return None
    apply = view.board.apply_snapshot if is_snapshot else view.board.apply_delta
    view.on_board(apply(line.content), is_snapshot, line.recv_ns)
    return view.snapshot(line.recv_ns)


def tape_snapshots(lines: list[Recorded]) -> list[BoardSnapshot]:
    view = OrderBookView(Board(fx_btc_jpy()), fx_btc_jpy())
    return [shot for line in lines if (shot := feed(view, line)) is not None]


def test_real_tape_gives_the_figures_of_its_description() -> None:
    shots = tape_snapshots(real_tape())
    assert Counter(shot.status for shot in shots) == {OK: 218, SUSPECT: 1}
    starts = sorted({shot.best_since_ns for shot in shots})
    assert len(starts) - 1 == 112
    lasted = [end - start for start, end in zip(starts, [*starts[1:], shots[-1].ts_ns], strict=True)]
    assert sum(ns >= 250 * NS_PER_MS for ns in lasted) == 38
    spreads = sorted(shot.spread_ticks for shot in shots)
    assert (spreads[0], spreads[len(spreads) // 2], spreads[-1]) == (2, 1_446, 3_103)


# --- Without ourselves -----------------------------------------------------------------------------------------------


def test_own_quote_inside_the_spread_is_never_the_best(desk: Desk) -> None:
    since = desk.view.snapshot(0).best_since_ns
    desk.own((Side.BUY, 104, 0.1), (Side.SELL, 106, 0.1))
    for bids, asks in (({}, {}), ({104: 0.1}, {}), ({}, {106: 0.1}), ({99: 2.0}, {111: 2.0})):
        shot = desk.take(bids, asks, ms=100)
        assert (best(shot)[::2], shot.best_since_ns, shot.status) == ((100, 110), since, OK)
    assert (desk.board.best_bid, desk.board.best_ask) == (104, 106)
    assert list(desk.view.levels(Side.BUY)) == [(100, 0.5 * LOTS), (99, 2 * LOTS)]
    assert desk.view.size_at(Side.BUY, Ticks(104)) == 0
    assert desk.view.size_at(Side.BUY, Ticks(100)) == 0.5 * LOTS
    desk.own()
    shot = desk.take({104: 0.0}, {106: 0.0}, ms=100)
    assert (best(shot)[::2], shot.best_since_ns) == ((100, 110), since)


def test_own_order_that_is_not_displayed_yet_takes_nothing_away(desk: Desk) -> None:
    desk.own((Side.BUY, 100, 0.5))
    assert best(desk.take({}, {111: 3})) == (100, 0.5, 110, 0.5), "sent, not displayed: the 0.5 are others'"
    assert best(desk.take({100: 1.0})) == (100, 0.5, 110, 0.5), "displayed beside the others"
    assert best(desk.take({100: 0.5})) == (99, 1.0, 110, 0.5), "the others went; what is left is ours"


def test_filled_order_is_taken_out_until_the_level_shows_it(desk: Desk) -> None:
    """The execution is published about 0.1 s before the delta."""
    since = desk.view.snapshot(0).best_since_ns
    desk.own((Side.BUY, 104, 0.1))
    desk.take({104: 0.1})
    desk.own()
    shot = desk.take({}, {111: 3.0})
    assert (best(shot)[0], shot.best_since_ns) == (100, since), "still displayed, and still ours"
    shot = desk.take({104: 0.0})
    assert (best(shot)[0], shot.best_since_ns) == (100, since)
    assert best(desk.take({104: 0.1}))[0] == 104, "somebody else's, at the price where ours was"


def test_partial_fill_leaves_the_rest_taken_out(desk: Desk) -> None:
    desk.own((Side.BUY, 104, 0.3))
    desk.take({104: 0.3})
    desk.own((Side.BUY, 104, 0.1))
    assert best(desk.take({}, {111: 3.0}))[0] == 100
    assert best(desk.take({104: 0.1}))[0] == 100
    assert best(desk.take({104: 0.4}))[:2] == (104, 0.3), "somebody joined us"


def test_others_who_leave_a_level_that_we_joined_leave_it_empty(desk: Desk) -> None:
    desk.own((Side.SELL, 110, 0.2))
    assert best(desk.take({}, {110: 0.7}))[2:] == (110, 0.5)
    assert best(desk.take({}, {110: 0.4}))[2:] == (110, 0.2)
    assert best(desk.take({}, {110: 0.2}))[2:] == (111, 1.0)
    desk.own()
    assert best(desk.take({}, {110: 0.0}))[2:] == (111, 1.0)


def test_two_own_orders_at_a_price_count_together(desk: Desk) -> None:
    desk.view.set_own(
        {
            A: OwnQuote(side=Side.BUY, price=Ticks(104), remaining=Lots(3)),
            B: OwnQuote(side=Side.BUY, price=Ticks(104), remaining=Lots(4)),
        }
    )
    assert best(desk.take({104: 7e-8}))[0] == 100
    assert desk.take({104: 9e-8}).best_bid_size == 2


def test_same_price_on_the_other_side_is_not_ours(desk: Desk) -> None:
    desk.own((Side.SELL, 104, 0.1))
    assert best(desk.take({104: 0.1}))[0] == 104


def test_level_that_never_changed_is_others_again_after_some_snapshots(desk: Desk) -> None:
    """Ours went and one of the very same size came within one batch: nothing on the wire shows it."""
    desk.own((Side.BUY, 104, 0.1))
    desk.take({104: 0.1})
    desk.own()
    whole: tuple[dict[float, float], dict[float, float]] = ({104: 0.1, 100: 0.5}, {110: 0.5})
    for _ in range(GONE_AFTER_SNAPSHOTS - 1):
        assert best(desk.take(*whole, snapshot=True))[0] == 100
    assert best(desk.take(*whole, snapshot=True))[0] == 104


def test_own_quote_is_found_again_after_a_reconnect(desk: Desk) -> None:
    desk.own((Side.BUY, 104, 0.1), (Side.SELL, 106, 0.1))
    desk.take({104: 0.1})
    desk.view.on_disconnect(desk.now_ns)
    shot = desk.take({104: 0.1, 100: 0.5}, {106: 0.1, 110: 0.5}, snapshot=True)
    assert best(shot) == (100, 0.5, 110, 0.5)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["join", "leave", "send", "show", "fill", "unfill"]),
            st.integers(98, 103),
            st.integers(1, 5),
        ),
        max_size=40,
    )
)
def test_best_without_us_is_never_better_than_the_book_nor_made_of_nothing(steps: list[tuple[str, int, int]]) -> None:
    """Whatever order things come in: what is left of a level lies between nothing and the whole of it."""
    desk = Desk()
    desk.take({90: 1.0}, {110: 1.0}, snapshot=True)
    shown: Counter[int] = Counter()
    ours: Counter[int] = Counter()
    for what, price, lots in steps:
        if what == "send":
            ours[price] += lots
        elif what == "fill":
            ours[price] = max(0, ours[price] - lots)
        elif what in {"join", "show"}:
            shown[price] += lots
        else:
            shown[price] = max(0, shown[price] - lots)
        desk.own(*((Side.BUY, price, lots / LOTS) for price, lots in ours.items() if lots))
        shot = desk.take({float(price): shown[price] / LOTS})
        assert 90 <= shot.best_bid_price <= desk.board.best_bid
        assert 0 < shot.best_bid_size <= desk.board.size_at(Side.BUY, shot.best_bid_price)
        for price in range(98, 104):
            assert 0 <= desk.view.size_at(Side.BUY, Ticks(price)) <= shown[price]


SENT, SHOWN, CANCELLED, GONE = 2, range(3, 7), 6, 7
Quotes = list[tuple[Side, int]]
OWN_SIZE = 0.01


def quotes_around(shot: BoardSnapshot | None) -> Quotes:
    if shot is None or shot.status is not OK or shot.spread_ticks < 100:
        return []
    mid = (shot.best_bid_price + shot.best_ask_price) // 2
    return [(Side.BUY, mid - 1), (Side.SELL, mid + 2)]


def add_to(levels: list[dict[str, float]], price: int, phase: int, is_snapshot: bool) -> None:
    """Put a quote of ours into a message, as the venue would."""
    at = next((level for level in levels if level["price"] == price), None)
    if at is not None:
        at["size"] += OWN_SIZE if phase in SHOWN else 0
    elif phase == SHOWN.start or (is_snapshot and phase in SHOWN):
        levels.append({"price": float(price), "size": OWN_SIZE})
    elif phase == GONE:
        levels.append({"price": float(price), "size": 0.0})


def with_own_orders(lines: list[Recorded]) -> tuple[list[Recorded], dict[int, Quotes]]:
    """The tape with our quotes at mid -+ 1 in it, and at which stamp we knew of which quotes.

    Every 10th board message we send two; they show in the next one, and in every snapshot; 4 messages later they are
    cancelled, and gone from the book one message after that.
    """
    plain = {shot.ts_ns: shot for shot in tape_snapshots(lines)}
    changed = [copy.deepcopy(line) for line in lines if "lightning_board" in line.channel]
    knowledge: dict[int, Quotes] = {}
    quotes: Quotes = []
    raw = Board(fx_btc_jpy())
    before: BoardSnapshot | None = None
    for number, line in enumerate(changed):
        phase = number % 10
        if phase == SENT:
            quotes = knowledge[line.recv_ns] = quotes_around(before)
        elif phase == CANCELLED:
            knowledge[line.recv_ns] = []
        is_snapshot = "snapshot" in line.channel
        for side, price in quotes:
            add_to(line.content["bids" if side is Side.BUY else "asks"], price, phase, is_snapshot)
        (raw.apply_snapshot if is_snapshot else raw.apply_delta)(line.content)
        before = plain.get(line.recv_ns)
        if before is not None and before.status is OK:  # the venue's mid counts our quotes like any other
            line.content["mid_price"] = mid_of(raw)
    return changed, knowledge


def test_own_quotes_in_the_real_tape_change_neither_best_nor_age() -> None:
    lines = real_tape()
    changed, knowledge = with_own_orders(lines)
    plain = {shot.ts_ns: shot for shot in tape_snapshots(lines)}
    view = OrderBookView(Board(fx_btc_jpy()), fx_btc_jpy())
    inside = compared = crossed = 0
    for line in changed:
        if (quotes := knowledge.get(line.recv_ns)) is not None:
            size = Lots(round(OWN_SIZE * LOTS))
            view.set_own([OwnQuote(side=side, price=Ticks(price), remaining=size) for side, price in quotes])
        shot = feed(view, line)
        if shot is None:
            continue
        before = plain[shot.ts_ns]
        if view.board.best_bid >= view.board.best_ask:
            crossed += 1  # the market ran through our quote, which nothing fills here
        else:
            assert shot.status is before.status
        assert best(shot) == best(before)
        assert shot.best_since_ns == before.best_since_ns
        compared += 1
        inside += (view.board.best_bid, view.board.best_ask) != (shot.best_bid_price, shot.best_ask_price)
    assert compared == 219
    assert crossed < 40
    assert inside > 60, "our quotes must have been the best of the raw book often, or this shows nothing"


# --- Cost ------------------------------------------------------------------------------------------------------------
