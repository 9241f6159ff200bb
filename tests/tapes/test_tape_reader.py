"""Tapes: read byte for byte, strict in the middle, lenient at a cut-off end; and a tape as a market."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import zstandard

from stall_then_strike.sim.exchange.source import iter_frames
from stall_then_strike.tapes.tape_reader import TapeError, TapeSource, read_tape
from stall_then_strike.types.dto import BoardState, Health, Side
from tests.shared_data import real_tape_path
from tests.sim.exchange_rig import BOARD, EXECUTIONS, SNAPSHOT, TICKER, PlainBook, message_of

SNAP = (
    '{"jsonrpc":"2.0","method":"channelMessage","params":{"channel":"lightning_board_snapshot_FX_BTC_JPY","message":'
    '{"mid_price":100.0,"bids":[{"price":99.0,"size":0.1},{"price":98.0,"size":0.2}],'
    '"asks":[{"price":102.0,"size":0.30}]}}}'
)
DELTA = SNAP.replace("_snapshot", "").replace('"size":0.1}', '"size":0.0}').replace("100.0", "100.00")
ACK = '{"jsonrpc":"2.0","id":1,"result":true}'


def line(recv_ns: int, text: str) -> str:
    return f'{{"recv_ns":{recv_ns},"msg":{text}}}\n'


def tape(folder: Path, content: str | bytes, name: str = "t.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_messages_come_out_byte_for_byte(tmp_path: Path) -> None:
    odd = '{"a":1.50,"b":1E5 , "c":"\\u3042}"}'
    path = tape(tmp_path, line(1, SNAP) + "\n" + line(2, odd) + line(3, DELTA))
    assert [tuple(entry) for entry in read_tape(path)] == [(1, SNAP), (2, odd), (3, DELTA)]


def test_lines_of_another_shape_are_written_anew(tmp_path: Path) -> None:
    path = tape(tmp_path, '{"msg": {"a": 1}, "recv_ns": 5}\n{"recv_ns":6,"msg":{"a":2},"extra":0}\n')
    assert [tuple(entry) for entry in read_tape(path)] == [(5, '{"a":1}'), (6, '{"a":2}')]


def test_blanks_around_the_message_are_not_part_of_it(tmp_path: Path) -> None:
    assert next(iter(read_tape(tape(tmp_path, ' { "recv_ns" : 5 , "msg" :  {"a" : 1}  } \r\n')))).text == '{"a" : 1}'


def test_zstd_tape_of_several_frames_is_read_like_a_plain_one(tmp_path: Path) -> None:
    pack = zstandard.ZstdCompressor().compress
    path = tape(tmp_path, pack(line(1, SNAP).encode()) + pack(line(2, ACK).encode()), "t.jsonl.zst")
    assert [entry.recv_ns for entry in read_tape(path)] == [1, 2]


@pytest.mark.parametrize("cut", [1, 20, len(DELTA)])
def test_line_cut_short_at_the_end_is_dropped_and_counted(tmp_path: Path, cut: int) -> None:
    reader = read_tape(tape(tmp_path, (line(1, SNAP) + line(2, DELTA))[: -1 - cut]))
    assert [entry.recv_ns for entry in reader] == [1]
    stats = reader.statistics()
    assert (stats.messages, stats.truncated, stats.first_ns, stats.last_ns) == (1, 1, 1, 1)


def test_last_line_that_only_lacks_its_newline_counts(tmp_path: Path) -> None:
    reader = read_tape(tape(tmp_path, line(1, SNAP).rstrip()))
    assert len(list(reader)) == 1
    assert reader.statistics().truncated == 0


def test_zstd_tape_cut_short_gives_what_can_be_read(tmp_path: Path) -> None:
    packed = zstandard.ZstdCompressor().compress(
        "".join(line(n, SNAP.replace("100", str(n))) for n in range(5_000)).encode()
    )
    reader = read_tape(tape(tmp_path, packed[: len(packed) // 2], "t.jsonl.zst"))
    assert 0 <= len(list(reader)) < 5_000


def test_zstd_tape_under_way_is_read_to_its_last_flush(tmp_path: Path) -> None:
    pack = zstandard.ZstdCompressor().compressobj()
    whole = pack.compress(b"".join(line(n, SNAP).encode() for n in range(100)))
    whole += pack.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    more = pack.compress(line(100, DELTA).encode()) + pack.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    for end in (0, 5, len(more) - 1):
        reader = read_tape(tape(tmp_path, whole + more[:end], "t.jsonl.zst.part"))
        assert [entry.recv_ns for entry in reader] == list(range(100))
        assert reader.statistics().is_unfinished
    reader = read_tape(tape(tmp_path, whole + more + pack.flush(), "t.jsonl.zst.part"))
    assert len(list(reader)) == 101
    assert not reader.statistics().is_unfinished


@pytest.mark.parametrize(
    "bad",
    [
        "{not json}",
        "[1,2]",
        '{"recv_ns":1}',
        '{"msg":{}}',
        '{"recv_ns":"1","msg":{}}',
        '{"recv_ns":1.5,"msg":{}}',
        '{"recv_ns":true,"msg":{}}',
        '{"recv_ns":-1,"msg":{}}',
        '{"recv_ns":1,"msg":NaN}',
        "\xff",
    ],
)
def test_bad_line_is_an_error_that_names_file_and_line(tmp_path: Path, bad: str) -> None:
    path = tape(tmp_path, (line(1, SNAP) + bad + "\n" + line(2, SNAP)).encode("latin-1"))
    with pytest.raises(TapeError, match=r"t\.jsonl:2: "):
        list(read_tape(path))


def test_damaged_zstd_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tape(tmp_path, b"this is not zstd", "t.jsonl.zst")
    with pytest.raises(TapeError, match=r"t\.jsonl\.zst: zstd"):
        list(read_tape(path))


def test_missing_tape_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        TapeSource(tmp_path / "none.jsonl")


def test_empty_tape_is_no_market(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="no message"):
        TapeSource(tape(tmp_path, ""))


def test_tape_as_market_rebuilds_the_book_and_leaves_acks_out(tmp_path: Path) -> None:
    source = TapeSource(tape(tmp_path, line(10, ACK) + line(20, SNAP) + line(30, DELTA)))
    assert source.start_ns == source.now_ns == 10
    assert [f.channel for f in source.advance(20)] == [SNAPSHOT]
    assert source.depth().bids == [(99, 10_000_000), (98, 20_000_000)]
    assert source.next_wake_ns() == 30
    assert [f.text for f in source.advance(99)] == [DELTA]
    assert source.depth().bids == [(98, 20_000_000)]
    assert source.depth(0).asks == []
    assert (source.next_wake_ns(), source.now_ns, source.ticker()) == (None, 99, None)


def test_disordered_stamps_never_turn_time_back(tmp_path: Path) -> None:
    source = TapeSource(tape(tmp_path, line(30, SNAP) + line(20, DELTA) + line(25, DELTA)))
    assert [f.time_ns for f in iter_frames(source)] == [30, 30, 30]


def test_message_that_makes_no_sense_is_played_and_moves_nothing(tmp_path: Path) -> None:
    strange = SNAP.replace("_snapshot", "").replace('"bids"', '"birds"')
    source = TapeSource(tape(tmp_path, line(1, SNAP) + line(2, strange)))
    assert len(source.advance(9)) == 2
    assert len(source.depth().bids) == 2


def test_condition_can_be_forced_on_a_tape(tmp_path: Path) -> None:
    ticker = (
        '{"jsonrpc":"2.0","method":"channelMessage","params":{"channel":"lightning_ticker_FX_BTC_JPY","message":'
        '{"product_code":"FX_BTC_JPY","state":"RUNNING","timestamp":"2021-12-12T23:05:30.1371457Z","tick_id":1,'
        '"best_bid":1.0,"best_ask":2.0,"best_bid_size":0.1,"best_ask_size":0.1,"total_bid_depth":1.0,'
        '"total_ask_depth":1.0,"market_bid_size":0.0,"market_ask_size":0.0,"ltp":1.0,"volume":1.0,'
        '"volume_by_product":1.0}}}'
    )
    source = TapeSource(tape(tmp_path, line(1, ticker) + line(2, ticker)))
    assert message_of(source.advance(1)[0])["state"] == "RUNNING"
    source.set_condition(state=BoardState.CLOSED, health=Health.STOP)
    assert message_of(source.advance(2)[0])["state"] == "CLOSED"
    assert (source.condition.state, source.condition.health) == (BoardState.CLOSED, Health.STOP)


def test_recorded_tape_is_read_whole_and_its_mids_agree() -> None:
    path = real_tape_path()
    reader = read_tape(path)
    texts = [entry.text for entry in reader]
    assert texts == [raw[raw.index('"msg":') + 6 : -1] for raw in path.read_text().splitlines()]
    assert reader.statistics().messages == 343
    book, agreed, checked = PlainBook(), 0, 0
    for frame in iter_frames(TapeSource(path)):
        if frame.channel in {BOARD, SNAPSHOT}:
            book.feed(frame.channel, message_of(frame))
            if book.is_known:
                checked += 1
                agreed += book.mid == message_of(frame)["mid_price"]
    assert (agreed, checked) == (218, 219)


def test_recorded_tape_as_market_ends_in_its_last_state() -> None:
    source = TapeSource(real_tape_path())
    frames = list(iter_frames(source))
    assert {f.channel for f in frames} == {BOARD, SNAPSHOT, EXECUTIONS, TICKER}
    last = [message_of(f) for f in frames if f.channel == EXECUTIONS][-1][-1]
    newest = source.executions()[0]
    assert (newest.exec_id, newest.price, newest.taker) == (last["id"], last["price"], Side(last["side"]))
    assert newest.time_ns // 1_000_000_000 == 1_639_350_360
    board = source.depth()
    assert board.bids[0][0] < board.mid < board.asks[0][0]
    ticker = source.ticker()
    assert ticker is not None
    assert (
        orjson.loads(str(ticker.best_bid[0])) == [message_of(f) for f in frames if f.channel == TICKER][-1]["best_bid"]
    )
