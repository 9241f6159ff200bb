"""The command ``tape``: messages and exit codes."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from stall_then_strike.app import tape
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED
from stall_then_strike.config.models import AppConfig
from stall_then_strike.tapes.event_log import Beginnings, EventFile
from stall_then_strike.tapes.stream_thread import Lost
from stall_then_strike.tapes.tape_reader import read_tape
from stall_then_strike.types.dto import Tick
from tests.research.replay.replay_rig import START_NS
from tests.shared_data import real_tape_path


@pytest.fixture
def sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "s.jsonl.zst"
    assert tape.main(["sample", "--seconds", "30", "-o", str(path)]) == EXIT_DONE
    assert "messages" in capsys.readouterr().out
    return path


def call(*args: str | Path) -> int:
    return tape.main([str(arg) for arg in args])


def test_info_is_a_table(sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "170")
    assert call("info", sample) == EXIT_DONE
    head, row = capsys.readouterr().out.splitlines()
    assert head.split()[0] == "tape"
    assert row.split()[0] == "s.jsonl.zst"
    assert "2026-01-05T00:00:00" in row
    assert row.split()[-1] == "whole"


def test_info_on_a_narrow_terminal_is_told_in_lines(
    sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert call("info", sample) == EXIT_DONE
    name, first, counts, state = capsys.readouterr().out.splitlines()
    assert name == "s.jsonl.zst"
    assert first.startswith("  first (UTC) 2026-01-05T00:00:00, length ")
    assert counts.startswith("  snapshots ")
    assert state.endswith("end whole")
    assert max(map(len, (first, counts, state))) <= 80


def test_info_for_programs(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("info", "--json", sample, sample) == EXIT_DONE
    facts = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(facts) == 2
    assert facts[0]["messages"] == len(list(read_tape(sample)))
    assert facts[0]["truncated"] is False
    assert facts[0]["books"]["FX_BTC_JPY"]["mid_failed"] == 0


def test_check_says_good_or_bad_by_its_exit_code(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("check", sample, real_tape_path()) == EXIT_DONE
    assert capsys.readouterr().out.count(": good, ") == 2
    sample.write_bytes(sample.read_bytes()[:-50])
    assert call("check", sample, real_tape_path()) == EXIT_FAILED
    out = capsys.readouterr().out
    assert (out.count(": good, "), out.count(": BAD, ")) == (1, 1)
    assert "the end is cut" in out
    assert call("check", "--min-agreed", "1", real_tape_path()) == EXIT_FAILED
    assert call("check", "--gap", "0.5", real_tape_path()) == EXIT_FAILED


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("+5", "+15.5"),
        ("2026-01-05T00:00:05Z", "2026-01-05T00:00:15.5"),
        (str(START_NS + 5 * 10**9), str(START_NS + 15_500_000_000)),
    ],
)
def test_cut_takes_moments_in_three_ways(start: str, end: str, sample: Path, tmp_path: Path) -> None:
    first_ns = next(iter(read_tape(sample))).recv_ns
    assert call("cut", sample, "--from", start, "--to", end, "-o", tmp_path / "c.jsonl") == EXIT_DONE
    stamps = [line.recv_ns for line in read_tape(tmp_path / "c.jsonl")]
    since_ns = first_ns if start.startswith("+") else START_NS
    everything = [line.recv_ns for line in read_tape(sample)]
    assert stamps == [ns for ns in everything if since_ns + 5 * 10**9 <= ns < since_ns + 15_500_000_000]
    assert stamps


def test_conversion_there_and_back_changes_no_byte(sample: Path, tmp_path: Path) -> None:
    assert call("convert", sample, "--to", "jsonl") == EXIT_DONE
    assert call("convert", tmp_path / "s.jsonl", "--to", "jsonl.zst", "-o", tmp_path / "b.jsonl.zst") == EXIT_DONE
    assert list(read_tape(tmp_path / "b.jsonl.zst")) == list(read_tape(sample))


def test_conversion_for_other_programs(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("polars")
    pytest.importorskip("numpy")
    assert call("convert", sample, "--to", "parquet") == EXIT_DONE
    assert call("convert", sample, "--to", "npz", "-o", tmp_path / "x.npz") == EXIT_DONE
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["s.executions.parquet", "s.jsonl.zst", "s.levels.parquet", "s.manifest.json", "x.npz"]
    assert "rows" in capsys.readouterr().out


def test_merge_of_a_tape_with_itself(sample: Path, tmp_path: Path) -> None:
    assert call("merge", sample, sample, "-o", tmp_path / "m.jsonl") == EXIT_DONE
    assert call("merge", sample, sample, "--drop-copies", "-o", tmp_path / "n.jsonl.zst") == EXIT_DONE
    assert len(list(read_tape(tmp_path / "m.jsonl"))) == 2 * len(list(read_tape(sample)))
    assert list(read_tape(tmp_path / "n.jsonl.zst")) == list(read_tape(sample))


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["cut", "SAMPLE", "--from", "noon", "-o", "c.jsonl"], 2, "--from noon"),
        (["cut", "SAMPLE", "--from", "2026-13-01T00:00Z", "-o", "c.jsonl"], 2, "--from 2026-13-01T00:00Z"),
        (["cut", "SAMPLE", "--from", "9" * 23, "-o", "c.jsonl"], 2, "not a moment"),
        (["cut", "SAMPLE", "--to", "+1e30", "-o", "c.jsonl"], 2, "--to +1e30: not a moment"),
        (["cut", "SAMPLE", "-o", "c.txt"], 2, "c.txt"),
        (["cut", "SAMPLE", "-o", "SAMPLE"], 2, "exists already"),
        (["info", "nowhere.jsonl"], 2, "nowhere.jsonl: not a file; accepted: a recording"),
        (["info", "/"], 2, "/: not a file"),
        (["replay", "SAMPLE", "-o", "out"], 1, "not the first line of an event log"),
        (["convert", "EMPTY", "--to", "npz"], 1, "no channel of a product of bitFlyer; other tapes cannot be"),
        (["convert", "EMPTY", "--to", "parquet", "--product", "ETH"], 1, "no channel of a product of bitFlyer"),
        (["convert", "SAMPLE", "--to", "npz", "--product", "ETH_JPY"], 1, "channels of FX_BTC_JPY; name one of them"),
    ],
)
def test_what_cannot_be_done_is_named(
    args: list[str], code: int, words: str, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jsonl").touch()
    there = {"SAMPLE": str(sample), "EMPTY": str(tmp_path / "empty.jsonl"), "out": str(tmp_path / "out")}
    named = [there.get(arg, str(tmp_path / arg) if arg.startswith("c.") else arg) for arg in args]
    assert tape.main(named) == code
    assert words in capsys.readouterr().err
    assert not (tmp_path / "c.jsonl").exists()


def test_event_logs_among_tapes_are_known_for_what_they_are(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = EventFile(tmp_path, AppConfig(), "paper", Beginnings.on_paper(AppConfig()))
    log.take(START_NS, Tick(ts_ns=1))
    log.on_lost(Lost(3, 4, 5))
    log.close("done")
    (path,) = tmp_path.glob("*.events.jsonl.zst")
    assert call("info", sample, path) == EXIT_DONE
    assert "events of a paper run on FX_BTC_JPY" in capsys.readouterr().out
    assert call("check", sample, path) == EXIT_FAILED
    out = capsys.readouterr().out
    assert "BAD after 1 events" in out
    assert "3 events are missing" in out
