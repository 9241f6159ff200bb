"""Tapes of Lighter: what they are of is on them, each hour begins with the book, and they are read, checked and cut."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest

from stall_then_strike.config.models import ExchangeConfig
from stall_then_strike.lighter.market_feed import LighterMarketFeed
from stall_then_strike.lighter.markets import configured_market
from stall_then_strike.tapes.salvage import RecordFolder
from stall_then_strike.tapes.sequence import one_run
from stall_then_strike.tapes.tape_files import require_one_venue
from stall_then_strike.tapes.tape_reader import read_tape
from stall_then_strike.tapes.tape_tools import audit_tape, cut, faults_of, write_tape
from stall_then_strike.tapes.tape_writer import HourlyTape, manifest_path
from stall_then_strike.tapes.wires import HEADER, MADE
from stall_then_strike.types.dto import NS_PER_S, BoardSnapshot, BookStatus
from stall_then_strike.types.errors import ConfigError
from tests.lighter.captured import ETH, book
from tests.lighter.test_market_feed import STATS, trade, trades

EXCHANGE = ExchangeConfig.model_validate(
    {
        "name": "lighter",
        "product_code": "ETH",
        "base_url": "http://127.0.0.1",
        "ws_url": "ws://127.0.0.1/stream",
        "tick_size": ETH.instrument.tick_size,
        "size_step": ETH.instrument.lot_size,
        "size_min": ETH.min_base,
        "notional_min": ETH.min_quote,
        "base": "ETH",
        "quote": "USDC",
        "market_index": 0,
    }
)
HOUR_NS = 3_600 * NS_PER_S
START_NS = 500_000 * HOUR_NS
SNAPSHOT = book([("2000.00", "0.5000"), ("1999.00", "1.0000")], [("2001.00", "2.0000")], nonce=100, first=True)
Frame = tuple[int, Any]


def change(number: int) -> dict[str, Any]:
    """Each makes the best bid a little larger."""
    return book([("2000.00", f"0.5{number:03d}")], [], nonce=100 + number, begin=99 + number)


def frames(seconds: int) -> list[Frame]:
    """A connection: greeting, snapshot, and every 10 s a change, statistics and a trade."""
    found: list[Frame] = [(0, {"session_id": "x", "type": "connected"}), (1, SNAPSHOT)]
    for number in range(1, seconds // 10):
        for later, message in enumerate((change(number), STATS, trades(trade(number)))):
            found.append((10 * number * NS_PER_S + later, message))
    return [(START_NS + later, message) for later, message in found]


def recorded(folder: Path, given: list[Frame]) -> list[Path]:
    tape = HourlyTape(folder, "ETH", EXCHANGE, "ws://nowhere", lambda path: None)
    for stamp_ns, message in given:
        tape.take(stamp_ns, orjson.dumps(message))
    tape.close("done")
    return sorted(folder.glob("*.jsonl.zst"))


def books(tapes: list[Path]) -> list[tuple[int, str | None, Any]]:
    """The best and its size after each message that told the book."""
    feed, found = LighterMarketFeed(configured_market(EXCHANGE)), []
    for recv_ns, text in one_run(tapes):
        event = feed.on_recorded(text, recv_ns)
        if isinstance(event, BoardSnapshot) and event.status is BookStatus.OK:
            found.append((recv_ns, str(event.best_bid_size), event.best_ask_price))
    return found


def without_first_statistics(told: list[Any]) -> list[Any]:
    """The first statistics of a connection say that the market is open; later ones restate the book."""
    return [told[0], *told[2:]]


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """Two hours of one connection."""
    return recorded(tmp_path, frames(2 * 3_600))


def test_each_tape_says_what_it_is_of(two: list[Path]) -> None:
    assert [path.name for path in two] == ["ETH-20270115T08Z.jsonl.zst", "ETH-20270115T09Z.jsonl.zst"]
    for path in two:
        first, *rest = (line.text for line in read_tape(path))
        assert first.startswith(HEADER)
        assert orjson.loads(first)["tape"]["venue"] == "lighter"
        assert not any(text.startswith(HEADER) for text in rest)
        assert orjson.loads(manifest_path(path).read_bytes())["venue"] == "lighter"


def test_only_tapes_of_one_market_are_one_tape(two: list[Path], tmp_path: Path) -> None:
    require_one_venue(two)
    ours = tmp_path / "FX_BTC_JPY.jsonl"
    ours.write_text('{"recv_ns":1,"msg":{"jsonrpc":"2.0"}}\n')
    require_one_venue([ours, ours])
    with pytest.raises(ConfigError, match=r"09Z\.jsonl\.zst: a tape of lighter's ETH, and .* is of bitflyer; accepted"):
        require_one_venue([ours, two[1]])


def test_later_hour_begins_with_the_book_and_is_whole_by_itself(two: list[Path]) -> None:
    made = [line.text for line in read_tape(two[1]) if line.text.startswith(MADE)]
    assert len(made) == 1
    assert not [line for line in read_tape(two[0]) if line.text.startswith(MADE)]
    both, (begun, *alone) = books(two), books(two[1:])
    earlier = [told for told in both if told[0] < begun[0]]
    assert begun[1:] == earlier[-1][1:], "the made book is the one before the first change"
    assert alone == without_first_statistics(both[len(earlier) :])


def test_made_book_is_left_out_where_the_tape_before_tells_it(two: list[Path]) -> None:
    texts = [text for _, text in one_run(two)]
    assert not any(text is None or text.startswith((HEADER, MADE)) for text in texts)
    assert [orjson.loads(text or "") for text in texts] == [message for _, message in frames(2 * 3_600)]


def test_check_finds_nothing_and_counts_what_came_over_the_wire(two: list[Path]) -> None:
    given = frames(2 * 3_600)
    audited = [audit_tape(path) for path in two]
    assert [faults_of(one) for one in audited] == [[], []]
    assert sum(one.audit.messages for one in audited) == len(given)
    assert [one.audit.products for one in audited] == [("ETH",), ("ETH",)]
    assert sum(one.audit.books()["ETH"].executions for one in audited) == 2 * 360 - 1


def test_lost_frame_is_found_by_check(tmp_path: Path) -> None:
    given = frames(600)
    del given[20]
    (path,) = recorded(tmp_path, [one for one in given if one[1] != change(7)])
    found = audit_tape(path)
    assert found.audit.books()["ETH"].gaps == 1
    assert any("1 time(s) the book misses messages" in fault for fault in faults_of(found))


def test_new_connection_is_counted(tmp_path: Path) -> None:
    given = frames(100)
    (path,) = recorded(tmp_path, given + [(stamp_ns + 200 * NS_PER_S, message) for stamp_ns, message in given])
    assert audit_tape(path).audit.reconnects == 1


def test_account_is_not_recorded(tmp_path: Path) -> None:
    private = [
        {"channel": "account_all:12", "account": 12, "type": "update/account_all"},
        {"type": "jsonapi/sendtx", "id": "s1", "code": 200},
        {"error": {"code": 20013, "message": "account 12"}},
        {"channel": "user_stats:12", "type": "update/user_stats"},
    ]
    given = frames(30)
    (path,) = recorded(tmp_path, given + [(START_NS + 40 * NS_PER_S, message) for message in private])
    texts = [line.text for line in read_tape(path)]
    assert len(texts) == len(given) + 1
    assert not any("account" in text for text in texts)


def test_tape_that_a_crash_left_is_finished_as_one_of_lighter(tmp_path: Path) -> None:
    tape = HourlyTape(tmp_path, "ETH", EXCHANGE, "ws://nowhere", lambda path: None)
    for stamp_ns, message in frames(100):
        tape.take(stamp_ns, orjson.dumps(message))
    tape.flush(None)
    tape.abandon()
    with RecordFolder(tmp_path, EXCHANGE):
        (path,) = tmp_path.glob("*.jsonl.zst")
    told = orjson.loads(manifest_path(path).read_bytes())
    assert (told["venue"], told["ended"], list(told["books"])) == ("lighter", "crash", ["ETH"])
    assert faults_of(audit_tape(path)) == []


def test_cut_begins_with_the_book_at_that_moment(two: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "cut.jsonl"
    from_ns = START_NS + 1_800 * NS_PER_S
    write_tape(out, cut(two[0], from_ns, from_ns + 600 * NS_PER_S))
    assert faults_of(audit_tape(out)) == []
    whole = [told for told in books(two) if from_ns <= told[0] < from_ns + 600 * NS_PER_S]
    assert books([out])[1:] == without_first_statistics(whole)


def test_stamps_are_those_of_the_first_frame(two: list[Path]) -> None:
    lines = list(read_tape(two[1]))
    assert lines[0].recv_ns == lines[1].recv_ns == lines[2].recv_ns
    assert all(before.recv_ns <= after.recv_ns for before, after in pairwise(lines))
