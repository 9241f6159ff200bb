"""The command on the files of a live run, and on other files."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stall_then_strike.app.calibrate import main
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_USAGE
from stall_then_strike.config.loader import load_app_config
from stall_then_strike.config.models import AppConfig, LatencyKind
from stall_then_strike.infra.journal.writer import journal_path
from stall_then_strike.research.calibration.live_orders import read_event_logs, read_journal
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings
from stall_then_strike.sim.latency import CANCELS, ORDERS, Latency
from stall_then_strike.tapes.event_log import Beginning, Beginnings, EventFile
from stall_then_strike.tapes.stream_thread import Lost
from stall_then_strike.types.dto import Tick
from tests.live.rig import OPEN_ALL_DAY, UNHURRIED, live_room
from tests.research.calibration.live_market import CROWDED
from tests.research.replay.replay_rig import START_NS, frames
from tests.signing import SIGNED

JOINED: dict[str, Any] = {
    "quote_mode": "join",
    "stall_T_ms": 100,
    "ttl_ms": 3_000,
    "max_reverse_ticks": 100_000,
    "size_min": Decimal("0.02"),
    "max_inventory_btc": Decimal(1),
}


def tape(path: Path, seconds: float = 20) -> Path:
    path.write_text("".join(f'{{"recv_ns":{f.time_ns},"msg":{f.text}}}\n' for f in frames(seconds)))
    return path


def event_log(folder: Path, *items: Tick | Lost, mode: str = "live") -> Path:
    folder.mkdir(exist_ok=True)
    file = EventFile(folder, AppConfig(), mode, Beginnings(first=Beginning(is_live=mode != "paper")))
    for number, item in enumerate(items):
        if isinstance(item, Lost):
            file.on_lost(item)
        else:
            file.take(START_NS + number, item)
    file.close("done")
    (path,) = folder.glob("*.events.jsonl.zst")
    return path


@SIGNED
@pytest.mark.slow
async def test_recorded_live_run_is_calibrated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    sections = {"strategy": JOINED, "pybotters": UNHURRIED, "record": {"enabled": True, "dir": str(raw)}}
    settings = PrivateSettings(seed=7, calendar=OPEN_ALL_DAY, collateral_jpy=Decimal(1_000_000_000))
    async with live_room(tmp_path, speed=10.0, model=CROWDED, settings=settings, sections=sections) as room:
        assert await room.run(90) == EXIT_DONE
        fills = room.venue.ledger().fills
    assert main([str(raw), "--out", str(out)]) == EXIT_DONE
    printed = capsys.readouterr().out
    assert "fill ratio" in printed
    assert "markout 60 s, ticks" in printed
    assert str(out / "calibration.yml") in printed
    result = json.loads((out / "calibration.json").read_text())

    logs = sorted(raw.glob("*.events.jsonl.zst"))
    orders = [order for order in read_event_logs(logs).orders if order.is_quote]
    assert result["orders"] + result["never_on_the_book"] + result["not_on_tape"] == len(orders)
    assert result["orders"] > 0
    # The record has every fill of the exchange.
    filled = {fill.exec_id for order in read_event_logs(logs).orders for fill in order.fills}
    assert filled == {fill.exec_id for fill in fills}
    for model in result["models"]:
        told = model["both"] + model["only_real"] + model["only_predicted"] + model["neither"]
        assert told == result["orders"]

    # The journal has the same orders.
    journal = journal_path(room.cfg.journal.dir, room.cfg.exchange.product_code)
    assert read_journal(journal, AppConfig()).orders == read_event_logs(logs).orders
    tapes = [str(path) for path in raw.glob("*.jsonl.zst") if path not in logs]
    assert main([str(journal), *tapes, "--out", str(tmp_path / "again")]) == EXIT_DONE
    again = json.loads((tmp_path / "again" / "calibration.json").read_text())
    assert again["models"] == result["models"]

    # Paper trading can read what was written.
    cfg = load_app_config(Path("configs/base.yml"), out / "calibration.yml")
    assert cfg.paper.order_latency.kind is LatencyKind.SAMPLED
    assert Latency(cfg.paper.order_latency, 1, ORDERS).draw_ns(0) > 0
    assert Latency(cfg.paper.cancel_latency, 1, CANCELS).draw_ns(0) > 0
    if result["best"] is not None:
        assert cfg.paper.queue_model.value == result["best"]

    assert main([str(journal), "--latencies-only", "--out", str(tmp_path / "only")]) == EXIT_DONE
    assert (tmp_path / "only" / "latency-order.txt").is_file()
    assert not (tmp_path / "only" / "calibration.json").exists()


def refused(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> str:
    assert main([str(arg) for arg in argv]) == EXIT_USAGE
    captured = capsys.readouterr()
    assert not captured.out
    return captured.err


def test_path_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"{tmp_path}/nothing: no such file or folder" in refused(capsys, tmp_path / "nothing")


def test_file_of_another_kind_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.csv").touch()
    assert f"{tmp_path}/x.csv: accepted: an event log" in refused(capsys, tmp_path / "x.csv")


def test_tapes_without_a_run_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tape(tmp_path / "t.jsonl")
    said = refused(capsys, tmp_path)
    assert f"{tmp_path}: no record of a live run" in said
    assert "record.enabled=true" in said


def test_run_without_tapes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = event_log(tmp_path / "raw", Tick(ts_ns=1))
    assert f"{path}: no tapes; accepted" in refused(capsys, path)


@pytest.mark.parametrize("mode", ["paper", "shadow"])
def test_orders_on_paper_are_refused(mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = event_log(tmp_path / "raw", Tick(ts_ns=1), mode=mode)
    assert f"{path}: recorded by paper trading" in refused(capsys, path, tape(tmp_path / "t.jsonl"))


def test_run_without_quotes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = event_log(tmp_path / "raw", Tick(ts_ns=1))
    assert f"{path}: no quotes" in refused(capsys, path, tape(tmp_path / "t.jsonl"))
    assert f"{path}: no order, so no latency" in refused(capsys, path, "--latencies-only")


def test_event_log_with_a_hole_is_named_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = event_log(tmp_path / "raw", Tick(ts_ns=1), Lost(7, 2, 3))
    assert f"{path}:3: 7 events are missing" in refused(capsys, path, tape(tmp_path / "t.jsonl"))


def test_file_that_is_no_journal_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.sqlite3").write_text("no database")
    assert f"{tmp_path}/x.sqlite3" in refused(capsys, tmp_path, tape(tmp_path / "t.jsonl"))


def test_settings_that_cannot_be_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.sqlite3").write_text("no database")
    assert "paper.queue_power" in refused(capsys, tmp_path, "--set", "paper.queue_power=9")
