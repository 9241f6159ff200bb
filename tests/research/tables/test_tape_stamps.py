"""A tape whose receive stamps cannot be right is told, and nothing is made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from stall_then_strike.app import tape
from stall_then_strike.app.backtest import main as backtest_main
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED
from stall_then_strike.config.models import AppConfig
from stall_then_strike.research.figures.log_rows import ReportInputError
from stall_then_strike.research.figures.mid_path import mids_of_tapes
from stall_then_strike.research.tables.prepare import prepared
from stall_then_strike.sim.exchange.source import Frame
from stall_then_strike.tapes.sequence import one_run
from stall_then_strike.tapes.tape_reader import TapeError, read_tape
from tests.app.test_backtest import backtest
from tests.research.replay.replay_rig import frames

HOUR_NS = 3_600 * 10**9
OTHER_UNITS = {"seconds": 10**9, "milliseconds": 10**6, "microseconds": 10**3}


@pytest.fixture(scope="module")
def market() -> Sequence[Frame]:
    return frames(60)


def write(path: Path, market: Sequence[Frame], stamp: Callable[[int], int] = lambda ns: ns) -> Path:
    path.write_text("".join(f'{{"recv_ns":{stamp(f.time_ns)},"msg":{f.text}}}\n' for f in market))
    return path


def told(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = tape.main(["check", str(path)])
    return code, capsys.readouterr().out


def all_ways_refuse(path: Path, words: str, tmp_path: Path) -> None:
    with pytest.raises(TapeError, match=words):
        list(one_run([path]))
    with pytest.raises(TapeError, match=words):
        prepared([path], AppConfig(), tmp_path / "cache")
    with pytest.raises(TapeError, match=words):
        list(read_tape(path, for_result=True))
    with pytest.raises(ReportInputError, match=words):
        mids_of_tapes([path], AppConfig(), from_ns=0, until_ns=1 << 62)


@pytest.mark.parametrize("unit", OTHER_UNITS)
def test_stamps_in_another_unit(
    unit: str, market: Sequence[Frame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "t.jsonl", market, lambda ns: ns // OTHER_UNITS[unit])
    code, out = told(path, capsys)
    assert code == EXIT_FAILED
    assert f"it looks like {unit}" in out
    all_ways_refuse(path, rf"t\.jsonl:3: .*it looks like {unit}", tmp_path)


@pytest.mark.parametrize(("shift_h", "words"), [(9, r"9\.0 h after it"), (-5, r"5\.0 h before it")])
def test_stamps_of_another_zone(
    shift_h: int, words: str, market: Sequence[Frame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "t.jsonl", market, lambda ns: ns + shift_h * HOUR_NS)
    code, out = told(path, capsys)
    assert code == EXIT_FAILED
    assert "not UTC" in out
    all_ways_refuse(path, words, tmp_path)


def test_one_wrong_date_of_the_venue_is_told_and_is_no_reason_to_refuse(
    market: Sequence[Frame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = next(n for n, frame in enumerate(market) if '"exec_date"' in frame.text)
    text = market[first].text.replace('"exec_date":"2026', '"exec_date":"2025')
    path = write(tmp_path / "t.jsonl", [*market[:first], replace(market[first], text=text), *market[first + 1 :]])
    code, out = told(path, capsys)
    assert code == EXIT_FAILED
    assert "1 of " in out
    assert len(list(one_run([path]))) == len(market)
    assert prepared([path], AppConfig(), tmp_path / "cache").manifest.messages == len(market)


def test_tape_without_executions_is_bad(
    market: Sequence[Frame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "t.jsonl", [frame for frame in market if "executions" not in frame.channel])
    code, out = told(path, capsys)
    assert code == EXIT_FAILED
    assert "no execution" in out


def test_stamps_that_run_backwards_are_bad(
    market: Sequence[Frame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "t.jsonl", [*market[5:], *market[:5]])
    code, out = told(path, capsys)
    assert code == EXIT_FAILED
    assert "earlier than the previous one" in out


@pytest.mark.parametrize(
    "stamp", ["9223372036854775808", "1" + "0" * 40, "-1", "1.5e18", '"1767571200000000000"', "true"]
)
def test_stamps_that_are_none_are_an_error_with_the_line(
    stamp: str, market: Sequence[Frame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "t.jsonl", market)
    path.write_text(path.read_text() + f'{{"recv_ns":{stamp},"msg":{{}}}}\n' + '{"recv_ns":1,"msg":{}}\n')
    code, out = told(path, capsys)
    assert code == EXIT_FAILED
    assert f"t.jsonl:{len(market) + 1}: " in out
    with pytest.raises(TapeError, match=rf"t\.jsonl:{len(market) + 1}: "):
        prepared([path], AppConfig(), tmp_path / "cache")


def test_byte_order_mark_is_no_part_of_a_tape(
    market: Sequence[Frame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "t.jsonl", market)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert told(path, capsys)[0] == EXIT_DONE
    assert prepared([path], AppConfig(), tmp_path / "cache").manifest.messages == len(market)


@pytest.mark.timeout(600)
def test_commands_end_in_words(market: Sequence[Frame], tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", market, lambda ns: ns // 10**6)
    ended = backtest(path, "--log-dir", tmp_path / "logs", cache=tmp_path / "cache")
    assert (ended.returncode, "milliseconds" in ended.stderr) == (EXIT_FAILED, True)
    assert "Traceback" not in ended.stderr


def cheap(frame: Frame) -> Frame:
    """A snapshot with a level of 150,000 coins, as cheap ones have; other frames as they are."""
    if "board_snapshot" not in frame.channel:
        return frame
    message = orjson.loads(frame.text)
    message["params"]["message"]["bids"][-1]["size"] = 150_000.0
    return replace(frame, text=orjson.dumps(message).decode())


@pytest.mark.timeout(600)
def test_level_that_columns_cannot_hold_is_traded_by_the_interpreted_engine(
    market: Sequence[Frame], tmp_path: Path
) -> None:
    path = write(tmp_path / "t.jsonl", [cheap(frame) for frame in market])
    outputs = set()
    for engine in ("auto", "interpreted"):
        ended = backtest(path, "--engine", engine, "--log-dir", tmp_path / engine, cache=tmp_path / "cache")
        assert ended.returncode == EXIT_DONE, ended.stderr
        outputs.add(ended.stdout.split("output ")[1])
    assert len(outputs) == 1
    ended = backtest(path, "--engine", "compiled", "--log-dir", tmp_path / "compiled", cache=tmp_path / "cache")
    assert ended.returncode == EXIT_FAILED
    assert "beyond what prepared tapes can hold" in ended.stderr


def test_auto_says_that_it_tells_every_message_where_columns_cannot_hold_a_tape(
    market: Sequence[Frame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where the tape is not so short that it is told message by message anyway."""
    path = write(tmp_path / "t.jsonl", [cheap(frame) for frame in market])
    monkeypatch.setattr("stall_then_strike.app.backtest.is_short", lambda tapes: False)
    where = ["--log-dir", str(tmp_path / "logs"), "--set", f"backtest.cache_dir={tmp_path / 'cache'}"]
    assert backtest_main([str(path), *where]) == EXIT_DONE
    assert "15,000,000,000,000 lots" in capfd.readouterr().err
