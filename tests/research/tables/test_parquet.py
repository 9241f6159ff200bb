"""A tape as tables: every level and every execution, in order, in integers."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from stall_then_strike.tapes.tape_reader import TapeError
from stall_then_strike.types.instrument import fx_btc_jpy
from tests.research.replay.replay_rig import frames
from tests.shared_data import real_tape_path

pl = pytest.importorskip("polars")

from stall_then_strike.research.tables import parquet  # noqa: E402 - only where polars is installed
from stall_then_strike.research.tables.parquet import EXECUTIONS, LEVELS, write_parquet  # noqa: E402


@pytest.mark.parametrize("rows", [200_000, 1_000])
def test_tables_have_all_of_the_tape(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_ROWS", rows)
    tape = tmp_path / "t.jsonl"
    tape.write_text("".join(f'{{"recv_ns":{f.time_ns},"msg":{f.text}}}\n' for f in frames(60)))
    levels_path, executions_path = write_parquet(tape, tmp_path / "t", fx_btc_jpy())
    levels, executions = pl.read_parquet(levels_path), pl.read_parquet(executions_path)
    assert dict(levels.schema) == LEVELS
    assert dict(executions.schema) == EXECUTIONS
    expected_levels, expected_executions = [], []
    for number, frame in enumerate(frames(60)):
        message = orjson.loads(frame.text)["params"]["message"]
        if "_board_" in frame.channel:
            is_snapshot = "snapshot" in frame.channel
            expected_levels += [
                (frame.time_ns, number, is_snapshot, side, int(entry["price"]), round(entry["size"] * 10**8))
                for side, key in (("bid", "bids"), ("ask", "asks"))
                for entry in message[key]
            ]
        elif "executions" in frame.channel:
            expected_executions += [
                (
                    frame.time_ns,
                    number,
                    item["id"],
                    item["side"],
                    int(item["price"]),
                    item["buy_child_order_acceptance_id"],
                )
                for item in message
            ]
    wanted = ["recv_ns", "message", "is_snapshot", "side", "price_ticks", "size_lots"]
    assert levels.select(wanted).rows() == expected_levels
    wanted = ["recv_ns", "message", "exec_id", "taker", "price_ticks", "buy_order_id"]
    assert executions.select(wanted).rows() == expected_executions
    assert executions.select((pl.col("recv_ns") >= pl.col("exec_ns")).all()).item()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.executions.parquet", "t.jsonl", "t.levels.parquet"]


def test_recorded_tape_gives_its_executions(tmp_path: Path) -> None:
    _, executions = write_parquet(real_tape_path(), tmp_path / "t", fx_btc_jpy())
    table = pl.read_parquet(executions)
    assert table["exec_id"].is_sorted()
    assert table["exec_ns"].null_count() == 0


def test_tape_without_rows_gives_empty_tables(tmp_path: Path) -> None:
    tape = tmp_path / "t.jsonl"
    tape.write_text('{"recv_ns":1,"msg":{}}\n')
    levels, executions = write_parquet(tape, tmp_path / "t", fx_btc_jpy())
    assert (len(pl.read_parquet(levels)), len(pl.read_parquet(executions))) == (0, 0)


def test_message_that_is_not_what_it_says_is_named(tmp_path: Path) -> None:
    tape = tmp_path / "t.jsonl"
    tape.write_text('{"recv_ns":1,"msg":{"params":{"channel":"lightning_board_FX_BTC_JPY","message":{}}}}\n')
    with pytest.raises(TapeError, match="message 1 does not have its channel's format"):
        write_parquet(tape, tmp_path / "t", fx_btc_jpy())
    assert list(tmp_path.iterdir()) == [tape]
