"""Columns say what live trading would have believed, however a message is spelled; the cache is never stale."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import zstandard

from stall_then_strike.app.trader.virtual import Message
from stall_then_strike.infra.bitflyer.feed import MAX_TRADES, MarketFeed
from stall_then_strike.research.tables.columns import COLUMNS, KIND_BOARD, Columns
from stall_then_strike.research.tables.prepare import Builder, ColumnWriter, prepared, write_columns
from stall_then_strike.research.tables.scan import sheet
from stall_then_strike.tapes.sequence import one_run
from stall_then_strike.tapes.tape_reader import TapeError
from stall_then_strike.types.dto import BoardSnapshot, Side
from stall_then_strike.types.errors import FeedError
from tests.market_script import START_NS, Script, config
from tests.research.replay.twins import twins
from tests.research.tables.random_tapes import random_tape
from tests.shared_data import real_tape_path

pytestmark = pytest.mark.timeout(600)
S = 10**9


def write_tape(path: Path, messages: list[Message], end: str = "\n") -> Path:
    """As a recorder writes it; what is no JSON cannot be on a tape."""
    lines = []
    for recv_ns, text in messages:
        if text is not None:
            try:
                orjson.loads(text)
            except ValueError:
                continue
            lines.append(f'{{"recv_ns":{recv_ns},"msg":{text}}}')
    path.write_text("\n".join(lines) + end)
    return path


def columns_of(folder: Path) -> dict[str, Any]:
    return {name: np.fromfile(folder / name, kind) for name, kind in COLUMNS.items()}


def made(source: Any, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    write_columns(source, config(), folder)
    return columns_of(folder)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in COLUMNS)


def levels_after(columns: Columns) -> dict[Side, dict[int, int]]:
    """The book after the last message, from the last chunk alone."""
    *_, chunk = columns.chunks()
    book: dict[int, int] = dict(zip(chunk.base_rank.tolist(), chunk.base_size.tolist(), strict=True))
    order = np.argsort(chunk.level_at, kind="stable")
    book.update(zip(chunk.level_rank[order].tolist(), chunk.level_size[order].tolist(), strict=True))
    return {
        Side.BUY: {-rank: size for rank, size in book.items() if rank < 0 and size},
        Side.SELL: {rank: size for rank, size in book.items() if rank > 0 and size},
    }


@pytest.mark.parametrize("seed", range(12))
def test_columns_hold_the_book_and_its_best_as_the_feed_saw_them(seed: int, tmp_path: Path) -> None:
    messages = random_tape(seed, 800)
    feed, now, seen = MarketFeed(config()), 0, []
    for recv_ns, text in messages:
        now = max(now, recv_ns)
        event = feed.on_disconnect(now) if text is None else feed.on_text(text, now)
        if text is None:
            feed.on_connect()
        if isinstance(event, BoardSnapshot):
            seen.append((event.status, event.best_bid_price, event.best_ask_price, event.best_since_ns))
    held = made(messages, tmp_path / "columns")
    boards = held["kind"] == KIND_BOARD
    stored = zip(*(held[name][boards].tolist() for name in ("status", "bid", "ask", "since")), strict=True)
    assert list(stored) == seen
    book = levels_after(Columns(tmp_path / "columns"))
    for side in Side:
        assert book[side] == dict(feed.board.levels(side))


def test_another_spelling_of_the_same_messages_gives_the_same_columns(tmp_path: Path) -> None:
    plain = [message for message in random_tape(5, 500) if message[1]]
    odd = []
    for recv_ns, text in plain:
        try:
            odd.append((recv_ns, orjson.dumps(orjson.loads(text or ""), option=orjson.OPT_INDENT_2).decode()))
        except ValueError:
            odd.append((recv_ns, text or ""))
    assert same(made(plain, tmp_path / "plain"), made(odd, tmp_path / "odd"))


def filled(exec_id: Any, at: str = "00:00:01.5", **others: Any) -> dict[str, Any]:
    """An execution as the venue writes it."""
    names = {f"{of}_child_order_acceptance_id": f"JRF20260105-000000-{exec_id}" for of in ("buy", "sell")}
    item = {"id": exec_id, "side": "SELL", "price": 1000.0, "size": 0.01, "exec_date": f"2026-01-05T{at}Z", **names}
    return item | others


SCANNED = [
    [filled(10)],
    [filled(11, side="BUY"), filled(12, price=1001, size=3)],
    [filled(20, at="00:29:59.123456789"), filled(21, at="nonsense")],
]
LEFT = [
    [filled(21)],
    [filled(30), filled(30)],
    [filled(32), filled(31)],
    [filled(10)],
    [filled(40, side="")],
    [filled(41, price=0.5), filled(42)],
    [filled(43, price=1000.5)],
    [filled(44, size=0)],
    [filled(45, size=-1.0)],
    [filled(46, at="24:00:00.1")],
    [filled(47, at="00:00:01")],
    [filled(48, at="00:00:01.1234567890")],
    [filled(49, at="00:31:00.0")],
    [filled(50, exec_date="2026-01-06T00:00:00.5Z")],
    [filled(True)],
    [filled("51")],
    [filled(52, buy_child_order_acceptance_id=None)],
    [filled(53, sell_child_order_acceptance_id='a"b')],
    [filled(54, more=1)],
    [filled(55), {}],
    [],
    [filled(10**18)],
    [filled(56)],
]


def test_executions_are_scanned_where_nothing_is_odd_and_give_the_same_columns(tmp_path: Path) -> None:
    script = Script()
    for n, items in enumerate(([filled(9)], *SCANNED, *LEFT)):
        script.send(n, "lightning_executions_", items)
    (tmp_path / "one").mkdir()
    s, took = sheet(MAX_TRADES), []
    with ColumnWriter(tmp_path / "one", s) as writer:
        builder = Builder(config(), writer, s)
        writer.begin()
        for message in script.frames:
            builder.take(*message)
            took.append(builder.dated())
        writer.end()
    assert took == [0, *(1 for _ in SCANNED), *(0 for _ in LEFT)]
    odd = [(recv_ns, text.replace(",", ", ")) for recv_ns, text in script.frames]
    expected = made(odd, tmp_path / "odd")
    assert same(columns_of(tmp_path / "one"), expected)
    assert len(expected["trade_at"]) == 21


def test_tape_files_plain_compressed_and_cut_short_give_the_columns_of_their_messages(tmp_path: Path) -> None:
    tape = write_tape(tmp_path / "a.jsonl", random_tape(3, 600))
    lines = one_run([tape])
    expected = made(list(lines), tmp_path / "messages")
    compressed = tmp_path / "a.jsonl.zst"
    compressed.write_bytes(zstandard.compress(tape.read_bytes()))
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(tape.read_bytes() + b'{"recv_ns":17675712000000')
    blank = tmp_path / "blank.jsonl"
    blank.write_text("\n" + tape.read_text().replace("\n", "\n\n").rstrip("\n"))
    for path in (tape, compressed, cut, blank):
        assert same(made([path], tmp_path / f"{path.name}.columns"), expected), path.name


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"recv_ns":-1,"msg":{}}',
        '{"recv_ns":1.5,"msg":{}}',
        '{"msg":{}}',
        '{"recv_ns":01,"msg":{}}',
    ],
)
def test_line_that_is_none_is_an_error_with_its_number(line: str, tmp_path: Path) -> None:
    tape = write_tape(tmp_path / "a.jsonl", random_tape(1, 30))
    count = len(tape.read_text().splitlines())
    tape.write_text(tape.read_text() + line + "\n" + '{"recv_ns":1,"msg":{}}\n')
    with pytest.raises(TapeError, match=rf"a\.jsonl:{count + 1}: "):
        made([tape], tmp_path / "columns")


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_chunks_do_not_show(chunk: int, tmp_path: Path) -> None:
    """Orders, queues and taken levels go on where one chunk ends and the next begins."""
    pair = twins(random_tape(11, 4_000), config(risk={"after_halt": "wait"}), tmp_path, chunk=chunk)
    pair.check()
    assert pair.outcome.tally["fills"] > 5
    assert Columns(tmp_path).manifest.chunks >= 4_000 / chunk


def test_cache_is_used_again_and_made_anew_when_a_tape_or_the_units_change(tmp_path: Path) -> None:
    tape = write_tape(tmp_path / "a.jsonl", random_tape(3, 100))
    cache = tmp_path / "cache"
    first = prepared([tape], config(), cache)
    stamp = os.stat(first.folder / "recv").st_ino
    assert os.stat(prepared([tape], config(), cache).folder / "recv").st_ino == stamp
    other = prepared([tape], config(ws={"max_frame_bytes": 70_000}), cache)
    assert other.folder != first.folder
    tape.write_text(tape.read_text() + '{"recv_ns":1767571300000000000,"msg":{}}\n')
    assert prepared([tape], config(), cache).manifest.messages == first.manifest.messages + 1
    assert {path.name for path in cache.iterdir()} == {path.name for path in cache.iterdir() if len(path.name) == 32}


def test_half_a_folder_is_made_anew(tmp_path: Path) -> None:
    tape = write_tape(tmp_path / "a.jsonl", random_tape(3, 100))
    made_first = prepared([tape], config(), tmp_path / "cache")
    (made_first.folder / "manifest.json").write_text("{")
    assert prepared([tape], config(), tmp_path / "cache").manifest == made_first.manifest


def test_pause_between_two_tapes_is_a_break_and_a_short_one_is_not(tmp_path: Path) -> None:
    script = Script().ticker(0).snapshot(0, {1_000: 1.0}, {1_010: 1.0}).alive(100, 3_000)
    for pause_s, breaks in ((1, 0), (3_600, 1)):
        later = [(at + (3 + pause_s) * S, text) for at, text in script.in_order() if text]
        tapes = [write_tape(tmp_path / "1.jsonl", script.in_order()), write_tape(tmp_path / "2.jsonl", later)]
        messages = list(one_run(tapes))
        assert sum(text is None for _, text in messages) == breaks
        expected = made(messages, tmp_path / f"messages{pause_s}")
        assert same(made(tapes, tmp_path / f"tapes{pause_s}"), expected)


def test_tapes_out_of_order_are_refused(tmp_path: Path) -> None:
    tape = write_tape(tmp_path / "1.jsonl", Script().ticker(0).ticker(1_000).in_order())
    for source in (lambda: made([tape, tape], tmp_path / "columns"), lambda: list(one_run([tape, tape]))):
        with pytest.raises(TapeError, match="in order of time"):
            source()


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"bids": [{"price": 2.0**31, "size": 1.0}], "asks": []}, id="price"),
        pytest.param({"bids": [{"price": 5.0, "size": 1e6}], "asks": []}, id="size"),
    ],
)
def test_numbers_beyond_the_columns_are_refused(message: dict[str, Any], tmp_path: Path) -> None:
    script = Script().snapshot(0, {1_000: 1.0}, {1_010: 1.0})
    script.send(1, "lightning_board_", {"mid_price": 1.0, **message})
    with pytest.raises(FeedError, match="beyond"):
        made(script.in_order(), tmp_path / "columns")


def test_stamp_that_cannot_be_is_refused(tmp_path: Path) -> None:
    script = Script().snapshot(0, {1_000: 1.0}, {1_010: 1.0}).delta(8 * 86_400_000, {1_000: 2.0})
    with pytest.raises(FeedError, match="days after"):
        made(script.in_order(), tmp_path / "columns")


def test_recorded_tape_is_read_by_the_scanner_and_trades_alike(tmp_path: Path) -> None:
    pair = twins(list(one_run([real_tape_path()])), config(), tmp_path)
    pair.check()
    held = Columns(tmp_path).manifest
    assert (held.mid_checked, held.mid_agreed) == (219, 218)
    assert pair.outcome.tally["strikes"] >= 20
    assert held.first_ns > START_NS - 10**18
