"""A recorded run, replayed: its CSVs are the same, byte for byte."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zstandard
from loguru import logger

from stall_then_strike.app.shell.command import EXIT_DONE
from stall_then_strike.config.models import AppConfig, LogConfig
from stall_then_strike.engine.strategies import configured
from stall_then_strike.engine.strategy import MakeStrategy
from stall_then_strike.infra.logging_structured import CsvLogs
from stall_then_strike.sim.faults.catalogue import random_plan
from stall_then_strike.tapes.event_log import Beginnings, EventFile
from stall_then_strike.tapes.event_replay import open_run, read_inputs, replay_events
from stall_then_strike.tapes.part_file import PartFile
from stall_then_strike.tapes.stream_thread import Lost
from stall_then_strike.tapes.tape_reader import TapeError
from stall_then_strike.tapes.tape_tools import audit_tape, faults_of
from stall_then_strike.types.dto import Event, Notice, Tick
from stall_then_strike.types.errors import FeedError
from tests.e2e.commands import csv_bytes, run
from tests.live.rig import SHORT, LiveRoom, live_room
from tests.research.replay.replay_rig import START_NS, frames
from tests.signing import SIGNED


def event_logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.events.jsonl.zst"))


def write_again(path: Path, logs: CsvLogs, strategy: MakeStrategy = configured) -> None:
    """The CSVs of a replay."""
    for number, (_, row) in enumerate(replay_events(path, strategy)):
        if not isinstance(row, Notice):
            logs.write(row)
        if number % 1_000 == 0:
            logs.flush()


def replayed(paths: list[Path], log_dir: Path, strategy: MakeStrategy = configured) -> dict[str, bytes]:
    run = open_run(paths[0])
    with CsvLogs(log_dir, run.cfg.exchange.instrument(), LogConfig()) as logs:
        for path in paths:
            write_again(path, logs, strategy)
    return csv_bytes(log_dir)


def recording(room: LiveRoom, folder: Path) -> None:
    update = {"enabled": True, "dir": str(folder)}
    room.cfg = room.cfg.model_copy(update={"record": room.cfg.record.model_copy(update=update)})


@SIGNED
@pytest.mark.slow
async def test_live_runs_are_replayed_row_for_row(tmp_path: Path) -> None:
    """The second run starts from what the journal kept of the first."""
    raw = tmp_path / "raw"
    async with live_room(tmp_path, speed=10.0) as room:
        recording(room, raw)
        assert await room.run(90) == EXIT_DONE
        assert await room.run(45) == EXIT_DONE
        assert len(room.venue.ledger().fills) > 10
    logs = event_logs(raw)
    assert [open_run(path).beginnings.first.memo is None for path in logs] == [True, False]
    assert open_run(logs[1]).beginnings.first.exec_ids
    assert replayed(logs, tmp_path / "again") == csv_bytes(room.logs)
    assert sum(content.count(b"\n") for content in csv_bytes(room.logs).values()) > 300
    for tape in raw.glob("*Z*.jsonl.zst"):
        if tape not in logs:
            # At ten times the pace a machine that holds its breath for 0.2 s leaves a gap: no fault of the recording.
            # And the hour may turn, with a new tape, just before the end.
            short = ("gaps of more than", "no board snapshot")
            assert [fault for fault in faults_of(audit_tape(tape)) if not any(word in fault for word in short)] == []


@SIGNED
@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 11])
async def test_runs_among_faults_are_replayed_row_for_row(seed: int, tmp_path: Path) -> None:
    """Lost acknowledgements, dropped sockets, unknown orders, reconciliations: all of it reaches the core as events."""
    raw = tmp_path / "raw"
    hasty = {"pybotters": SHORT}
    async with live_room(tmp_path, speed=10.0, sections=hasty, faults=random_plan(seed, 60)) as room:
        recording(room, raw)
        with suppress(FeedError):  # a venue that cannot be reached at first is no matter here
            await room.run(60)
        assert sum(room.exchange.faults.struck.values())
    logs = event_logs(raw)
    kinds = {type(event).__name__ for path in logs for _, event, _ in read_inputs(path)}
    assert kinds >= {"BoardSnapshot", "VenueStatus", "Tick"}
    assert replayed(logs, tmp_path / "again") == csv_bytes(room.logs)


@SIGNED
async def test_nothing_is_recorded_unless_it_is_asked_for(tmp_path: Path) -> None:
    async with live_room(tmp_path, speed=20.0) as room:
        room.cfg = room.cfg.model_copy(
            update={"record": room.cfg.record.model_copy(update={"dir": str(tmp_path / "raw")})}
        )
        assert await room.run(10) == EXIT_DONE
        assert room.last is not None
        assert room.last.trader.on_input is None
    assert not (tmp_path / "raw").exists()


@SIGNED
async def test_recording_that_fails_is_told_and_trading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: PartFile, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PartFile, "write", full)
    told: list[str] = []
    sink = logger.add(lambda message: told.append(message.record["message"]), level="ERROR")
    try:
        async with live_room(tmp_path, speed=20.0) as room:
            recording(room, tmp_path / "raw")
            assert await room.run(60) == EXIT_DONE
            assert room.rows("decisions")
    finally:
        logger.remove(sink)
    assert any("tape of FX_BTC_JPY cannot be written" in text for text in told), told
    assert any("events were not recorded" in text for text in told), told


def test_recording_that_cannot_begin_keeps_the_run_from_starting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    where = ("--set", "record.enabled=true", "--set", f"record.dir={tmp_path}/file/raw")
    ended = run("run_paper", "--sim", "--speed", "max", "--duration", "5", *where, "--log-dir", tmp_path / "logs")
    assert ended.returncode == 1
    assert f"{tmp_path}/file/raw cannot be written to" in ended.stderr
    assert "Traceback" not in ended.stderr


def record_paper(tmp_path: Path, *flags: str | Path) -> tuple[Path, Path]:
    raw, logs = tmp_path / "raw", tmp_path / "logs"
    ended = run("run_paper", *flags, "--set", "record.enabled=true", "--set", f"record.dir={raw}", "--log-dir", logs)
    assert ended.returncode == 0, ended.stderr
    return raw, logs


def test_simulated_paper_run_in_virtual_time(tmp_path: Path) -> None:
    raw, logs = record_paper(tmp_path, "--sim", "--speed", "max", "--seed", "5", "--duration", "120")
    assert replayed(event_logs(raw), tmp_path / "again") == csv_bytes(logs)
    (tape,) = (path for path in raw.glob("*.zst") if path not in event_logs(raw))
    assert faults_of(audit_tape(tape)) == []
    flags = ("--seed", "5", "--duration", "120", "--config", "configs/sim.yml", "--log-dir", tmp_path / "tape")
    ended = run("run_paper", "--tape", tape, *flags)
    assert ended.returncode == 0, ended.stderr
    assert csv_bytes(tmp_path / "tape") == csv_bytes(logs)  # the recorded tape is the market that was traded


@pytest.mark.slow
def test_paper_run_on_the_embedded_exchange(tmp_path: Path) -> None:
    raw, logs = record_paper(tmp_path, "--sim", "--speed", "10", "--duration", "90")
    assert replayed(event_logs(raw), tmp_path / "again") == csv_bytes(logs)
    assert len(list(raw.glob("*.manifest.json"))) >= 1


def test_paper_run_on_a_tape_records_its_events_and_not_the_tape_again(tmp_path: Path) -> None:
    tape = tmp_path / "t.jsonl"
    tape.write_text("".join(f'{{"recv_ns":{f.time_ns},"msg":{f.text}}}\n' for f in frames(60)))
    raw, logs = record_paper(tmp_path, "--tape", tape)
    assert list(raw.glob("*.zst")) == event_logs(raw)
    assert replayed(event_logs(raw), tmp_path / "again") == csv_bytes(logs)
    ended = run("tape", "replay", *event_logs(raw), "-o", tmp_path / "by command")
    assert ended.returncode == 0, ended.stderr
    assert csv_bytes(tmp_path / "by command") == csv_bytes(logs)


# --- event logs that are not whole ------------------------------------------------------------------------------------


def events_file(folder: Path, *items: Event | Lost) -> Path:
    file = EventFile(folder, AppConfig(), "paper", Beginnings.on_paper(AppConfig()))
    for number, item in enumerate(items):
        if isinstance(item, Lost):
            file.on_lost(item)
        else:
            file.take(START_NS + number, item)
    file.close("done")
    (path,) = event_logs(folder)
    return path


def test_event_log_of_a_crashed_run_is_replayed_as_far_as_it_goes(tmp_path: Path) -> None:
    path = events_file(tmp_path, *(Tick(ts_ns=n) for n in range(1_000)))
    text = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(text[:-10])
    assert [event for _, event, _ in read_inputs(cut)] == [Tick(ts_ns=n) for n in range(999)]


def test_where_events_were_lost_the_replay_ends(tmp_path: Path) -> None:
    path = events_file(tmp_path, Tick(ts_ns=1), Lost(7, 2, 3), Tick(ts_ns=4))
    with pytest.raises(TapeError, match=r":3: 7 events are missing"):
        list(replay_events(path))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "1: "),
        ("{}", "1: not the first line"),
        ('{"version":1}', "1: "),
        ('{"recv_ns":1,"msg":{}}', "1: not the first line"),
    ],
)
def test_file_that_is_no_event_log_is_named(line: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(TapeError, match=words):
        open_run(path)


def test_configuration_comes_back(tmp_path: Path) -> None:
    run = open_run(events_file(tmp_path, Tick(ts_ns=1)))
    assert run.cfg == AppConfig()
    assert (run.mode, run.product, run.beginnings) == ("paper", "FX_BTC_JPY", Beginnings.on_paper(AppConfig()))


def test_lines_hold_exact_integers(tmp_path: Path) -> None:
    huge = 10**25 + 1
    path = events_file(tmp_path, Tick(ts_ns=huge))
    text = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    entry: Any = json.loads(text.splitlines()[1])
    assert entry == {"now_ns": START_NS, "type": "Tick", "event": {"ts_ns": huge}}
